"""One linear layer for each stage, and one for all.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.conv_module import RELU
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of


@HEADS.register_module()
class SegformerHead(BaseDecodeHead):
    """Every stage is projected to the same width and brought to the size of the first; then all are mixed.

    "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers" (Xie et al., 2021,
    arXiv:2105.15203).

    Args:
        interpolate_mode: How stages are brought to one size.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``in_channels`` and
            ``in_index`` are lists.
    """

    def __init__(self, interpolate_mode: str = 'bilinear', **kwargs: Any) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        self.interpolate_mode = interpolate_mode
        conv = convs_of(self)
        self.convs = nn.ModuleList(conv(channels, self.channels) for channels in self.in_channels)
        self.fusion_conv = conv(len(self.in_channels) * self.channels, self.channels, act_cfg=RELU)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        stages = self._transform_inputs(feats)
        size = stages[0].shape[2:]
        mode = self.interpolate_mode
        corners = self.align_corners if mode in ('bilinear', 'bicubic') else None
        projected = [
            resize(conv(x), size, mode=mode, align_corners=corners) for conv, x in zip(self.convs, stages, strict=True)
        ]
        return self.cls_seg(self.fusion_conv(torch.cat(projected, 1)))
