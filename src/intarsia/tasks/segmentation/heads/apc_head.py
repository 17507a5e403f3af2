"""Context from cells that each pixel weights for itself.

Shapes: n images, c channels, k classes, h rows, w columns, l pixels, m cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import MakeConv, convs_of


class AdaptiveContext(nn.Module):
    """Every pixel weights the cells of a grid, by its feature and the mean of the image, and adds what they hold.

    Args:
        pool_scale: Cells along each side of the grid.
        fusion: Whether a last convolution follows.
        in_channels: Channels of the map.
        channels: Channels of the result.
        conv: Makes the convolutions.
    """

    def __init__(self, pool_scale: int, fusion: bool, in_channels: int, channels: int, conv: MakeConv) -> None:
        super().__init__()
        self.pool_scale = pool_scale
        self.pooled_redu_conv = conv(in_channels, channels)
        self.input_redu_conv = conv(in_channels, channels)
        self.global_info = conv(channels, channels)
        self.gla = nn.Conv2d(channels, pool_scale**2, 1)
        self.residual_conv = conv(channels, channels)
        self.fusion_conv = conv(channels, channels) if fusion else nn.Identity()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, channels, H, W)``."""
        cell_ncm = self.pooled_redu_conv(F.adaptive_avg_pool2d(x_nchw, self.pool_scale)).flatten(2)
        x_nchw = self.input_redu_conv(x_nchw)
        mean_nc11 = self.global_info(F.adaptive_avg_pool2d(x_nchw, 1))
        weight_nml = self.gla(x_nchw + mean_nc11).sigmoid().flatten(2)
        context = self.residual_conv((cell_ncm @ weight_nml).view_as(x_nchw))
        return self.fusion_conv(F.relu(context + x_nchw))


@HEADS.register_module()
class APCHead(BaseDecodeHead):
    """Adaptive context from grids of several scales, joined with the map.

    "Adaptive Pyramid Context Network for Semantic Segmentation" (He et al., CVPR 2019).

    Args:
        pool_scales: Cells along each side of the grids.
        fusion: Whether each context ends with a convolution.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.
    """

    def __init__(self, pool_scales: Sequence[int] = (1, 2, 3, 6), fusion: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        conv, channels = convs_of(self), (self.in_channels, self.channels)
        self.acm_modules = nn.ModuleList(AdaptiveContext(scale, fusion, *channels, conv) for scale in pool_scales)
        self.bottleneck = conv(self.in_channels + len(pool_scales) * self.channels, self.channels, 3)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        x_nchw = self._transform_inputs(feats)
        contexts = [context(x_nchw) for context in self.acm_modules]
        return self.cls_seg(self.bottleneck(torch.cat([x_nchw, *contexts], 1)))
