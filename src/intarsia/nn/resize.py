"""Resizing of maps.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


def resize(
    input: Tensor,
    size: Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = 'nearest',
    align_corners: bool | None = None,
    warning: bool = True,
) -> Tensor:
    """Interpolate a map to another size.

    With ``align_corners`` the centres of the corner pixels stay where they are, and the grid between them is divided
    anew; without, the corners of the image do. The first leaves the old pixels in place only if sizes go from
    ``x + 1`` to ``k * x + 1``: if a map grows and neither axis does so, there is a warning.

    Args:
        input: ``(N, C, H, W)``.
        size: The new (height, width).
        scale_factor: New size divided by the old one; one of both is given.
        mode: As ``torch.nn.functional.interpolate`` takes it: ``'nearest'``, ``'bilinear'``, ...
        align_corners: What stays in place; None for modes that do not know it, and is False for the others.
        warning: Whether to warn.

    Returns:
        ``(N, C, H', W')``.
    """
    new = None if size is None else tuple(int(side) for side in size)
    if warning and align_corners and new is not None:
        _warn_if_misaligned(tuple(int(side) for side in input.shape[-2:]), new)
    return F.interpolate(input, new, scale_factor, mode, align_corners)


def _warn_if_misaligned(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    grows = any(after > before for before, after in zip(old, new, strict=True))
    is_off = all(a > 1 and b > 1 and (a - 1) % (b - 1) for b, a in zip(old, new, strict=True))
    if grows and is_off:
        warnings.warn(
            f'align_corners=True from {old} to {new}: pixels stay in place only from x + 1 to k * x + 1', stacklevel=3
        )


class Upsample(nn.Module):
    """:func:`resize` as a layer.

    Args:
        size: The new (height, width), or None.
        scale_factor: New size divided by the old one, for both axes or for each; the new size is rounded down.
        mode: How to interpolate.
        align_corners: As :func:`resize` takes it.
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = 'nearest',
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError('Upsample needs one of size and scale_factor')
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, H', W')``."""
        return resize(x_nchw, self._size_for(x_nchw), mode=self.mode, align_corners=self.align_corners)

    def _size_for(self, x_nchw: Tensor) -> Sequence[int]:
        if self.size is not None:
            return (self.size, self.size) if isinstance(self.size, int) else self.size
        factors = self.scale_factor
        assert factors is not None
        pair = factors if isinstance(factors, Sequence) else (factors, factors)
        return [int(side * factor) for side, factor in zip(x_nchw.shape[-2:], pair, strict=True)]

    def extra_repr(self) -> str:
        """``scale_factor=2, mode=bilinear``."""
        what = f'size={self.size}' if self.size is not None else f'scale_factor={self.scale_factor}'
        return f'{what}, mode={self.mode}'
