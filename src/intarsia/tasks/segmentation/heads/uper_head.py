"""A feature pyramid whose top is pooled at several scales.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of
from intarsia.tasks.segmentation.heads.psp_head import PyramidPooling


@HEADS.register_module()
class UPerHead(BaseDecodeHead):
    """Pooling at several scales on the last stage, handed down a feature pyramid; then all levels joined.

    "Unified Perceptual Parsing for Scene Understanding" (Xiao et al., 2018, arXiv:1807.10221).

    Args:
        pool_scales: Cells along each side of the grids that the last stage is pooled over.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``in_channels`` and
            ``in_index`` are lists.
    """

    def __init__(self, pool_scales: Sequence[int] = (1, 2, 3, 6), **kwargs: Any) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        conv, width, (*lower, top) = convs_of(self), self.channels, self.in_channels
        self.psp_modules = PyramidPooling(pool_scales, top, width, conv, self.align_corners)
        self.bottleneck = conv(top + len(pool_scales) * width, width, 3)
        self.lateral_convs = nn.ModuleList(conv(channels, width, inplace=False) for channels in lower)
        self.fpn_convs = nn.ModuleList(conv(width, width, 3, inplace=False) for _ in lower)
        self.fpn_bottleneck = conv(len(self.in_channels) * width, width, 3)

    def _forward_feature(self, feats: Features) -> Tensor:
        """The feature ``(N, channels, h, w)`` before the last convolution."""
        upsample = partial(resize, mode='bilinear', align_corners=self.align_corners)
        *lower, top = self._transform_inputs(feats)
        levels = [self.bottleneck(self.psp_modules(top))]
        for lateral, stage in zip(reversed(self.lateral_convs), reversed(lower), strict=True):
            levels.insert(0, lateral(stage) + upsample(levels[0], stage.shape[2:]))
        smooth = [conv(level) for conv, level in zip(self.fpn_convs, levels, strict=False)] + levels[-1:]
        return self.fpn_bottleneck(torch.cat([upsample(level, levels[0].shape[2:]) for level in smooth], 1))

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        return self.cls_seg(self._forward_feature(feats))
