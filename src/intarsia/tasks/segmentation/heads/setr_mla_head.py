"""Layers of a vision transformer, side by side.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.resize import Upsample
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of


@HEADS.register_module()
class SETRMLAHead(BaseDecodeHead):
    """Every layer goes through two convolutions and is upsampled; then all are joined.

    The multi-level decoder of "Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with
    Transformers" (SETR; Zheng et al., 2021, arXiv:2012.15840).

    Args:
        mla_channels: Channels of each layer; ``channels`` must be those of all together.
        up_scale: By how much the maps grow.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``in_channels`` and
            ``in_index`` are lists.

    Raises:
        ValueError: ``channels`` is another number.
    """

    def __init__(self, mla_channels: int = 128, up_scale: int = 4, **kwargs: Any) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        if self.channels != len(self.in_channels) * mla_channels:
            raise ValueError(
                f'SETRMLAHead: channels={self.channels} must be mla_channels={mla_channels} times the number of '
                f'layers, {len(self.in_channels)}'
            )
        conv = convs_of(self)
        self.up_convs = nn.ModuleList(
            nn.Sequential(
                conv(channels, mla_channels, 3),
                conv(mla_channels, mla_channels, 3),
                Upsample(scale_factor=up_scale, mode='bilinear', align_corners=self.align_corners),
            )
            for channels in self.in_channels
        )

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        layers = zip(self.up_convs, self._transform_inputs(feats), strict=True)
        return self.cls_seg(torch.cat([up_conv(x) for up_conv, x in layers], 1))
