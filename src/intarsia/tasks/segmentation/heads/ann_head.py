"""Attention to a few means over cells instead of all pixels.

Shapes: n images, c channels, k classes, h rows, w columns, m cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.init import constant_init
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import MakeConv, convs_of
from intarsia.tasks.segmentation.heads.self_attention import MapAttention


class CellMeans(nn.Module):
    """Means over the cells of several grids.

    Args:
        scales: Cells along each side, for every grid.
    """

    def __init__(self, scales: Sequence[int]) -> None:
        super().__init__()
        self.scales = scales

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, M)``, M the cells of all grids."""
        grids = (nn.functional.adaptive_avg_pool2d(x_nchw, scale) for scale in self.scales)
        return torch.cat([grid.flatten(2) for grid in grids], 2)


class AsymmetricAttention(nn.Module):
    """Every pixel of a high stage gathers from the cells of a low stage, and is joined with what it found.

    Args:
        low_channels: Channels of the stage that gives keys and values.
        high_channels: Channels of the stage that gives queries.
        channels: Channels of queries, keys and values.
        out_channels: Channels of the result.
        share_key_query: Whether one layer makes queries and keys.
        query_scales: An attention for each: by how much the map of queries is made smaller.
        key_pool_scales: Cells along each side of the grids of keys.
        conv: Makes the convolutions.
        **options: Of the last convolution.
    """

    def __init__(
        self,
        low_channels: int,
        high_channels: int,
        channels: int,
        out_channels: int,
        share_key_query: bool,
        query_scales: Sequence[int],
        key_pool_scales: Sequence[int],
        conv: MakeConv,
        **options: Any,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for scale in query_scales:
            key, out = conv(low_channels, channels), nn.Conv2d(channels, out_channels, 1)
            constant_init(out, 0)
            self.stages.append(
                MapAttention(
                    query_project=key if share_key_query else conv(high_channels, channels),
                    key_project=key,
                    value_project=nn.Conv2d(low_channels, channels, 1),
                    out_project=out,
                    query_downsample=nn.MaxPool2d(scale) if scale > 1 else None,
                    key_downsample=CellMeans(key_pool_scales),
                )
            )
        self.bottleneck = conv(out_channels + high_channels, out_channels, **options)

    def forward(self, low_nchw: Tensor, high_nchw: Tensor) -> Tensor:
        """A map ``(N, out_channels, H, W)`` of the size of the high stage."""
        gathered = sum(stage(high_nchw, low_nchw) for stage in self.stages)
        return self.bottleneck(torch.cat([gathered, high_nchw], 1))


@HEADS.register_module()
class ANNHead(BaseDecodeHead):
    """The last stage gathers from cells of the one before it, then from its own.

    "Asymmetric Non-local Neural Networks for Semantic Segmentation" (Zhu et al., 2019, arXiv:1908.07678).

    Args:
        project_channels: Channels of queries, keys and values.
        query_scales: An attention for each: by how much the map of queries is made smaller.
        key_pool_scales: Cells along each side of the grids of keys.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``in_channels`` and
            ``in_index`` are lists of two.

    Raises:
        ValueError: There are not two stages.
    """

    def __init__(
        self,
        project_channels: int,
        query_scales: Sequence[int] = (1,),
        key_pool_scales: Sequence[int] = (1, 3, 6, 8),
        **kwargs: Any,
    ) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        if len(self.in_channels) != 2:
            raise ValueError(f'ANNHead takes two stages, not in_channels={self.in_channels}')
        (low, high), width, conv = self.in_channels, self.channels, convs_of(self)
        scales: dict[str, Any] = {'query_scales': query_scales, 'key_pool_scales': key_pool_scales, 'conv': conv}
        self.fusion = AsymmetricAttention(
            low, high, project_channels, high, share_key_query=False, act_cfg=None, **scales
        )
        self.bottleneck = conv(high, width, 3)
        self.context = AsymmetricAttention(width, width, project_channels, width, share_key_query=True, **scales)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        fused = self.fusion(*self._transform_inputs(feats))
        x_nchw = self.bottleneck(fused if self.dropout is None else self.dropout(fused))
        return self.cls_seg(self.context(x_nchw, x_nchw))
