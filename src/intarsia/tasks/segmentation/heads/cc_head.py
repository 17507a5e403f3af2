"""Attention along rows and columns.

Shapes: n images, c channels, h rows, w columns; i and j a row and a column that are looked at.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.nn.scale import Scale
from intarsia.tasks.segmentation.heads.fcn_head import FCNHead


class CrissCrossAttention(nn.Module):
    """Adds to every pixel what it gathers from its row and its column; starts as the identity.

    Args:
        in_channels: Channels of the map.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.query_conv = nn.Conv2d(in_channels, in_channels // 8, 1)
        self.key_conv = nn.Conv2d(in_channels, in_channels // 8, 1)
        self.value_conv = nn.Conv2d(in_channels, in_channels, 1)
        self.gamma = Scale(0)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        height, width = x_nchw.shape[2:]
        query, key, value = self.query_conv(x_nchw), self.key_conv(x_nchw), self.value_conv(x_nchw)
        in_column = torch.einsum('nchw, nciw -> nhwi', query, key)
        in_row = torch.einsum('nchw, nchj -> nhwj', query, key)
        # The pixel itself lies in both, and counts in its row only.
        itself_hi = torch.eye(height, dtype=torch.bool, device=x_nchw.device)
        in_column = in_column.masked_fill(itself_hi[:, None], float('-inf'))
        weight = torch.cat([in_column, in_row], 3).softmax(3)
        of_column, of_row = weight.split([height, width], 3)
        gathered = torch.einsum('nhwi, nciw -> nchw', of_column, value)
        gathered = gathered + torch.einsum('nhwj, nchj -> nchw', of_row, value)
        return x_nchw + self.gamma(gathered)


@HEADS.register_module()
class CCHead(FCNHead):
    """Two convolutions, and between them attention along rows and columns; the second pass reaches every pixel.

    "CCNet: Criss-Cross Attention for Semantic Segmentation" (Huang et al., 2019, arXiv:1811.11721).

    Args:
        recurrence: How often the same attention is applied.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.heads.fcn_head.FCNHead`, without ``num_convs``.
    """

    def __init__(self, recurrence: int = 2, **kwargs: Any) -> None:
        super().__init__(num_convs=2, **kwargs)
        self.recurrence = recurrence
        self.cca = CrissCrossAttention(self.channels)

    def convolve(self, x_nchw: Tensor) -> Tensor:
        """The convolutions around the attention."""
        before, after = self.convs
        x_nchw = before(x_nchw)
        for _ in range(self.recurrence):
            x_nchw = self.cca(x_nchw)
        return after(x_nchw)
