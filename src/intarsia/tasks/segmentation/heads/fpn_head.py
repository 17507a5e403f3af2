"""The levels of a feature pyramid, added up.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.resize import Upsample, resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of


@HEADS.register_module()
class FPNHead(BaseDecodeHead):
    """Every level of a pyramid goes up to the size of the first, step by step; the sum is classified.

    "Panoptic Feature Pyramid Networks" (Kirillov et al., 2019, arXiv:1901.02446).

    Args:
        feature_strides: Stride of each level, a power of 2; the smallest comes first.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``in_channels`` and
            ``in_index`` are lists.

    Raises:
        ValueError: The strides do not belong to the levels.
    """

    def __init__(self, feature_strides: Sequence[int], **kwargs: Any) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        if len(feature_strides) != len(self.in_channels) or min(feature_strides) != feature_strides[0]:
            raise ValueError(
                f'FPNHead: feature_strides={list(feature_strides)} must have one stride for each of '
                f'in_channels={self.in_channels}, the smallest first'
            )
        self.feature_strides = feature_strides
        doublings = [round(math.log2(stride / feature_strides[0])) for stride in feature_strides]
        self.scale_heads = nn.ModuleList(map(self._steps, self.in_channels, doublings))

    def _steps(self, in_channels: int, doublings: int) -> nn.Sequential:
        """As many convolutions, each followed by doubling the size; one convolution alone for the first level."""
        conv = convs_of(self)
        layers: list[nn.Module] = [conv(in_channels, self.channels, 3)]
        layers += [conv(self.channels, self.channels, 3) for _ in range(1, doublings)]
        if doublings:
            double = [Upsample(scale_factor=2, mode='bilinear', align_corners=self.align_corners) for _ in layers]
            layers = [each for pair in zip(layers, double, strict=True) for each in pair]
        return nn.Sequential(*layers)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        first, *others = (steps(x) for steps, x in zip(self.scale_heads, self._transform_inputs(feats), strict=True))
        for level in others:
            # A level may be off by some pixels where the sizes of stages were rounded.
            first = first + resize(level, first.shape[2:], mode='bilinear', align_corners=self.align_corners)
        return self.cls_seg(first)
