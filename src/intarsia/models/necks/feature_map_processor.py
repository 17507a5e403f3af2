"""Select, join and rescale maps.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intarsia.core.registries import NECKS
from intarsia.nn.resize import resize


@NECKS.register_module()
class FeatureMapProcessor(nn.Module):
    """Prepare the maps of a backbone for a head, without parameters.

    Args:
        select_index: Which maps are taken, one or several; None takes all.
        concat: Join the maps along their channels, at the resolution of the first.
        scale_factor: By how much height and width are enlarged.
        apply_relu: Rectify the maps.
        align_corners: How maps are resized, as :func:`~intarsia.nn.resize.resize` takes it.

    Raises:
        ValueError: ``scale_factor`` is not positive.
    """

    def __init__(
        self,
        select_index: int | Sequence[int] | None = None,
        concat: bool = False,
        scale_factor: float = 1.0,
        apply_relu: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if scale_factor <= 0:
            raise ValueError(f'FeatureMapProcessor: scale_factor={scale_factor} must be positive')
        self.select_index = (select_index,) if isinstance(select_index, int) else select_index
        self.concat, self.scale_factor, self.apply_relu = concat, scale_factor, apply_relu
        self.align_corners = align_corners

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps ``(N, C_i, H_i, W_i)`` to those selected, joined, rectified and rescaled, in this order."""
        maps = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if self.select_index is not None:
            maps = [maps[i] for i in self.select_index]
        if self.concat:
            size = maps[0].shape[2:]
            maps = [torch.cat([resize(x, size, mode='bilinear', align_corners=self.align_corners) for x in maps], 1)]
        if self.apply_relu:
            maps = [x_nchw.relu() for x_nchw in maps]
        if self.scale_factor != 1:
            scaling = {'scale_factor': self.scale_factor, 'mode': 'bilinear', 'align_corners': self.align_corners}
            maps = [resize(x_nchw, **scaling) for x_nchw in maps]  # type: ignore[arg-type]
        return tuple(maps)
