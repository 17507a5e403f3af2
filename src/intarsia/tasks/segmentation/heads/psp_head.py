"""Pooling at several scales.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import MakeConv, convs_of


class PyramidPooling(nn.ModuleList):
    """Means over the cells of several grids, each transformed and brought back to the size of the map.

    Args:
        pool_scales: Cells along each side, for every grid.
        in_channels: Channels of the map.
        channels: Channels of the output of each grid.
        conv: Makes the convolutions.
        align_corners: How bilinear resizing places the pixels.
    """

    def __init__(
        self, pool_scales: Sequence[int], in_channels: int, channels: int, conv: MakeConv, align_corners: bool
    ) -> None:
        super().__init__(
            nn.Sequential(nn.AdaptiveAvgPool2d(scale), conv(in_channels, channels)) for scale in pool_scales
        )
        self.align_corners = align_corners

    def forward(self, x_nchw: Tensor) -> Tensor:
        """The map and all its summaries, joined: ``(N, in_channels + grids * channels, H, W)``."""
        size = x_nchw.shape[2:]
        summaries = (resize(grid(x_nchw), size, mode='bilinear', align_corners=self.align_corners) for grid in self)
        return torch.cat([x_nchw, *summaries], 1)


@HEADS.register_module()
class PSPHead(BaseDecodeHead):
    """Context from pooling at several scales.

    "Pyramid Scene Parsing Network" (Zhao et al., 2017, arXiv:1612.01105).

    Args:
        pool_scales: Cells along each side of the grids that are pooled over.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.
    """

    def __init__(self, pool_scales: Sequence[int] = (1, 2, 3, 6), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        conv = convs_of(self)
        self.psp_modules = PyramidPooling(pool_scales, self.in_channels, self.channels, conv, self.align_corners)
        self.bottleneck = conv(self.in_channels + len(pool_scales) * self.channels, self.channels, 3)

    def _forward_feature(self, feats: Features) -> Tensor:
        """The feature ``(N, channels, h, w)`` before the last convolution."""
        return self.bottleneck(self.psp_modules(self._transform_inputs(feats)))

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        return self.cls_seg(self._forward_feature(feats))
