"""Filters that are made from the image they are applied to.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.norm import build_norm_layer
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of


class DynamicConv(nn.Module):
    """The mean of the image over a grid becomes a depthwise filter of that size.

    Args:
        filter_size: Size of the filter.
        fusion: Whether a last convolution follows.
        head: The head whose channels and configs it takes.
    """

    def __init__(self, filter_size: int, fusion: bool, head: BaseDecodeHead) -> None:
        super().__init__()
        conv, width = convs_of(head), head.channels
        self.filter_size = filter_size
        self.filter_gen_conv = nn.Conv2d(head.in_channels, width, 1)
        self.input_redu_conv = conv(head.in_channels, width)
        self.norm = build_norm_layer(head.norm_cfg, width)[1] if head.norm_cfg else nn.Identity()
        self.activate = build_activation_layer(head.act_cfg) if head.act_cfg else nn.Identity()
        self.fusion_conv = conv(width, width) if fusion else nn.Identity()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, channels, H, W)``."""
        kernel_nckk = self.filter_gen_conv(F.adaptive_avg_pool2d(x_nchw, self.filter_size))
        x_nchw = self.input_redu_conv(x_nchw)
        before, after = self.filter_size // 2, (self.filter_size - 1) // 2
        padded = F.pad(x_nchw, (before, after, before, after))
        # Each channel of each image has a filter of its own: the batch becomes channels, in as many groups.
        n, c = kernel_nckk.shape[:2]
        out = F.conv2d(padded.flatten(0, 1)[None], kernel_nckk.flatten(0, 1)[:, None], groups=n * c)
        return self.fusion_conv(self.activate(self.norm(out.view_as(x_nchw))))


@HEADS.register_module()
class DMHead(BaseDecodeHead):
    """Dynamic filters of several sizes, joined with the map.

    "Dynamic Multi-Scale Filters for Semantic Segmentation" (He et al., ICCV 2019).

    Args:
        filter_sizes: Sizes of the filters.
        fusion: Whether each of them is followed by a convolution.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.
    """

    def __init__(self, filter_sizes: Sequence[int] = (1, 3, 5, 7), fusion: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dcm_modules = nn.ModuleList(DynamicConv(size, fusion, self) for size in filter_sizes)
        self.bottleneck = convs_of(self)(self.in_channels + len(filter_sizes) * self.channels, self.channels, 3)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        x_nchw = self._transform_inputs(feats)
        filtered = [conv(x_nchw) for conv in self.dcm_modules]
        return self.cls_seg(self.bottleneck(torch.cat([x_nchw, *filtered], 1)))
