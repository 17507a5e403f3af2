"""Averages over all places of a map.

Shape suffixes: n samples, c channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.core.registries import NECKS


@NECKS.register_module()
class GlobalAveragePooling(nn.Module):
    """One vector per map: the mean over all places.

    Args:
        dim: Number of axes that hold places, 1, 2 or 3.
    """

    def __init__(self, dim: int = 2) -> None:
        super().__init__()
        if dim not in (1, 2, 3):
            raise ValueError(f'GlobalAveragePooling: dim must be 1, 2 or 3, not {dim}')
        self.dim = dim

    def forward(self, inputs: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Average maps.

        Args:
            inputs: ``(N, C, *places)``, or a tuple of such.

        Returns:
            ``(N, C)``, or a tuple of such.

        Raises:
            TypeError: The input is neither a tensor nor a tuple of tensors.
            ValueError: A map has other axes than ``dim`` says.
        """
        if isinstance(inputs, tuple):
            return tuple(self._mean_nc(x) for x in inputs)
        if not isinstance(inputs, Tensor):
            raise TypeError(f'GlobalAveragePooling takes a tensor or a tuple of them, not {type(inputs).__name__}')
        return self._mean_nc(inputs)

    def _mean_nc(self, x: Tensor) -> Tensor:
        if x.dim() != self.dim + 2:
            raise ValueError(f'GlobalAveragePooling(dim={self.dim}) got a tensor of shape {tuple(x.shape)}')
        return x.mean(dim=tuple(range(2, x.dim())))
