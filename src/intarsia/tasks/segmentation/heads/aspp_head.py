"""Dilated convolutions side by side.

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


@HEADS.register_module()
class ASPPHead(BaseDecodeHead):
    """Atrous spatial pyramid pooling: convolutions of several dilations, and the mean of the map, side by side.

    "Rethinking Atrous Convolution for Semantic Image Segmentation" (DeepLabV3; Chen et al., 2017, arXiv:1706.05587).

    Args:
        dilations: Dilation of each branch; 1 stands for a kernel of one pixel.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.
    """

    def __init__(self, dilations: Sequence[int] = (1, 6, 12, 18), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        conv = convs_of(self)
        self.dilations = dilations
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(self.in_channels, self.channels))
        self.aspp_modules = nn.ModuleList(self._branch(conv, dilation) for dilation in dilations)
        self.bottleneck = conv((len(dilations) + 1) * self.channels, self.channels, 3)

    def _branch(self, conv: MakeConv, dilation: int) -> nn.Module:
        return conv(self.in_channels, self.channels, 1 if dilation == 1 else 3, dilation)

    def _forward_feature(self, feats: Features) -> Tensor:
        """The feature ``(N, channels, h, w)`` before the last convolution."""
        x_nchw = self._transform_inputs(feats)
        mean = resize(self.image_pool(x_nchw), x_nchw.shape[2:], mode='bilinear', align_corners=self.align_corners)
        return self.bottleneck(torch.cat([mean, *(branch(x_nchw) for branch in self.aspp_modules)], 1))

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        return self.cls_seg(self._forward_feature(feats))
