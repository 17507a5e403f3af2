"""Dilated depthwise separable convolutions side by side, refined with an early stage.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.heads.aspp_head import ASPPHead
from intarsia.tasks.segmentation.heads.convs import MakeConv, convs_of, separable_convs_of


@HEADS.register_module()
class DepthwiseSeparableASPPHead(ASPPHead):
    """:class:`~intarsia.tasks.segmentation.heads.aspp_head.ASPPHead`, then a decoder that adds an early stage.

    "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation" (DeepLabV3+; Chen et al., 2018,
    arXiv:1802.02611).

    Args:
        c1_in_channels: Channels of the first stage; 0 to do without it.
        c1_channels: Channels it is reduced to; 0 without it.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.heads.aspp_head.ASPPHead`.
    """

    def __init__(self, c1_in_channels: int, c1_channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        separable = separable_convs_of(self)
        self.c1_bottleneck = convs_of(self)(c1_in_channels, c1_channels) if c1_in_channels > 0 else None
        self.sep_bottleneck = nn.Sequential(
            separable(self.channels + c1_channels, self.channels, 3),
            separable(self.channels, self.channels, 3),
        )

    def _branch(self, conv: MakeConv, dilation: int) -> nn.Module:
        return super()._branch(conv if dilation == 1 else separable_convs_of(self), dilation)

    def _forward_feature(self, feats: Features) -> Tensor:
        """The feature ``(N, channels, h, w)`` before the last convolution."""
        out = super()._forward_feature(feats)
        if self.c1_bottleneck is not None:
            early = self.c1_bottleneck(feats[0])
            out = resize(out, early.shape[2:], mode='bilinear', align_corners=self.align_corners)
            out = torch.cat([out, early], 1)
        return self.sep_bottleneck(out)
