"""A small network at every place of a map.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from intarsia.nn.activation import build_activation_layer
from intarsia.nn.module import BaseModule

GELU: Mapping[str, Any] = {'type': 'GELU'}


class ConvMlp(BaseModule):
    """Widen by a 1 x 1 convolution, activate, narrow by another.

    State keys: ``fc1``, ``dwconv`` if there is one, ``fc2``.

    Args:
        channels: Channels C of the map.
        hidden_channels: Channels inside.
        act_cfg: Config of the activation.
        drop: Dropout after the activation and at the end.
        with_dwconv: Filter every channel by itself, 3 x 3, before the activation.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        act_cfg: Mapping[str, Any] = GELU,
        drop: float = 0.0,
        with_dwconv: bool = False,
    ) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.dwconv: nn.Module = nn.Identity()
        if with_dwconv:
            self.dwconv = nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels)
        self.act = build_activation_layer(act_cfg)
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return self.drop(self.fc2(self.drop(self.act(self.dwconv(self.fc1(x_nchw))))))
