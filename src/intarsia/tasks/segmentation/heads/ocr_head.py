"""Pixels described by the objects they belong to.

Shapes: n images, c channels, k classes, h rows, w columns, l pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.segmentation.decode_head import BaseCascadeDecodeHead
from intarsia.tasks.segmentation.heads.convs import MakeConv, convs_of
from intarsia.tasks.segmentation.heads.self_attention import MapAttention


class SpatialGather(nn.Module):
    """The mean feature of every class, where it is likely.

    Args:
        scale: Factor of the logits: how sharply likely pixels are preferred.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, feat_nchw: Tensor, logits_nkhw: Tensor) -> Tensor:
        """One column of features for each class, ``(N, C, K, 1)``."""
        weight_nkl = (self.scale * logits_nkhw.flatten(2)).softmax(2)
        return (feat_nchw.flatten(2) @ weight_nkl.transpose(1, 2)).unsqueeze(3)


class ObjectAttention(MapAttention):
    """Every pixel gathers from the features of the classes, and is joined with what it found.

    Args:
        in_channels: Channels of the map and of the class features.
        channels: Channels of queries and keys.
        scale: By how much the map of queries is made smaller.
        conv: Makes the convolutions.
    """

    def __init__(self, in_channels: int, channels: int, scale: int, conv: MakeConv) -> None:
        super().__init__(
            query_project=nn.Sequential(conv(in_channels, channels), conv(channels, channels)),
            key_project=nn.Sequential(conv(in_channels, channels), conv(channels, channels)),
            value_project=conv(in_channels, channels),
            out_project=conv(channels, in_channels),
            query_downsample=nn.MaxPool2d(scale) if scale > 1 else None,
        )
        self.bottleneck = conv(2 * in_channels, in_channels)

    def forward(self, query_nchw: Tensor, key_nchw: Tensor) -> Tensor:
        """A map of the shape of ``query_nchw``; the keys are ``(N, C, K, 1)``."""
        context = super().forward(query_nchw, key_nchw)
        return self.bottleneck(torch.cat([context, query_nchw], 1))


@HEADS.register_module()
class OCRHead(BaseCascadeDecodeHead):
    """The logits of a first head tell where each class is; pixels attend to the mean features of the classes.

    "Object-Contextual Representations for Semantic Segmentation" (Yuan et al., 2020, arXiv:1909.11065).

    Args:
        ocr_channels: Channels of queries and keys.
        scale: By how much the map of queries is made smaller, and the factor of the first head's logits.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.
    """

    def __init__(self, ocr_channels: int, scale: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        conv = convs_of(self)
        self.object_context_block = ObjectAttention(self.channels, ocr_channels, scale, conv)
        self.spatial_gather_module = SpatialGather(scale)
        self.bottleneck = conv(self.in_channels, self.channels, 3)

    def forward(self, feats: Features, prev_output: Tensor) -> Tensor:  # type: ignore[override]
        """Logits ``(N, K, h, w)`` of the stages and the first head's logits, which must have the stages' size."""
        x_nchw = self.bottleneck(self._transform_inputs(feats))
        of_classes = self.spatial_gather_module(x_nchw, prev_output)
        return self.cls_seg(self.object_context_block(x_nchw, of_classes))
