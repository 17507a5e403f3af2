"""Attention between far pixels, then between near ones.

Shapes: n images, c channels, k classes, h rows, w columns; g a place in the coarse grid, l a place in its cell.
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
from intarsia.tasks.segmentation.heads.self_attention import MapAttention


class SelfAttention(MapAttention):
    """Every pixel gathers from all others.

    Args:
        in_channels: Channels of the map.
        channels: Channels of queries and keys.
        conv: Makes the convolutions.
    """

    def __init__(self, in_channels: int, channels: int, conv: MakeConv) -> None:
        super().__init__(
            query_project=nn.Sequential(conv(in_channels, channels), conv(channels, channels)),
            key_project=nn.Sequential(conv(in_channels, channels), conv(channels, channels)),
            value_project=nn.Conv2d(in_channels, in_channels, 1),
        )
        self.output_project = conv(in_channels, in_channels)

    def forward(self, x_nchw: Tensor) -> Tensor:  # type: ignore[override]
        """``(N, C, H, W)`` in and out."""
        return self.output_project(super().forward(x_nchw, x_nchw))


@HEADS.register_module()
class ISAHead(BaseDecodeHead):
    """Attention between pixels at the same place of all cells, then between all pixels of each cell.

    "Interlaced Sparse Self-Attention for Semantic Segmentation" (Huang et al., 2019, arXiv:1907.12273). Together they
    connect all pixels, at a fraction of the cost.

    Args:
        isa_channels: Channels of queries and keys.
        down_factor: Height and width of a cell.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.
    """

    def __init__(self, isa_channels: int, down_factor: Sequence[int] = (8, 8), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        conv = convs_of(self)
        self.down_factor = tuple(down_factor)
        self.in_conv = conv(self.in_channels, self.channels, 3)
        self.global_relation = SelfAttention(self.channels, isa_channels, conv)
        self.local_relation = SelfAttention(self.channels, isa_channels, conv)
        self.out_conv = conv(2 * self.channels, self.channels)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        x_nchw = self.in_conv(self._transform_inputs(feats))
        (height, width), (cell_h, cell_w) = x_nchw.shape[2:], self.down_factor
        missing_h, missing_w = -height % cell_h, -width % cell_w
        top, left = missing_h // 2, missing_w // 2
        padded = F.pad(x_nchw, (left, missing_w - left, top, missing_h - top))
        related = self._relate(padded)[:, :, top : top + height, left : left + width]
        return self.cls_seg(self.out_conv(torch.cat([related, x_nchw], 1)))

    def _relate(self, x_nchw: Tensor) -> Tensor:
        """Both attentions, on a map that consists of whole cells."""
        cell_h, cell_w = self.down_factor
        grid = x_nchw.unflatten(3, (-1, cell_w)).unflatten(2, (-1, cell_h))
        n, _, rows, _, columns, _ = grid.shape
        far_nllcgg = grid.permute(0, 3, 5, 1, 2, 4)
        far_nllcgg = self.global_relation(far_nllcgg.flatten(0, 2)).unflatten(0, (n, cell_h, cell_w))
        near_nggcll = far_nllcgg.permute(0, 4, 5, 3, 1, 2)
        near_nggcll = self.local_relation(near_nggcll.flatten(0, 2)).unflatten(0, (n, rows, columns))
        return near_nggcll.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
