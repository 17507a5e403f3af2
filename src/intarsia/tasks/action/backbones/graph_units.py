"""Layers of networks of skeletons: over joints, and over time.

Shapes: n skeletons, c channels, t frames, v joints; k groups of neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.data.transforms.image_transform import require_choice
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.norm import build_norm_layer

Adaptive = Literal['init', 'offset', 'importance'] | None
SCALES: Sequence[Any] = ((3, 1), (3, 2), (3, 3), (3, 4), ('max', 3), '1x1')
"""Branches over time: kernel and dilation, a pooling, or no reach at all."""


def _cfg(kind: str | Mapping[str, Any]) -> dict[str, Any]:
    return {'type': kind} if isinstance(kind, str) else dict(kind)


class GraphUnit(nn.Module):
    """Mixes the features of neighbours, with weights that may be learned.

    State keys: ``A``, ``PA``, ``conv``, ``bn``, ``down``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        adjacency_kvv: Weights of neighbours.
        adaptive: ``'init'`` learns them from here on, ``'offset'`` what is added to them, ``'importance'`` factors of
            them; None keeps them.
        conv_pos: Whether channels are mixed before (``'pre'``) or after (``'post'``) neighbours are.
        with_res: Whether there is a shortcut.
        norm: Config, or name, of the normalization.
        act: Config, or name, of the activation.
    """

    A: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        adjacency_kvv: Tensor,
        adaptive: Adaptive = 'importance',
        conv_pos: Literal['pre', 'post'] = 'pre',
        with_res: bool = False,
        norm: str | Mapping[str, Any] = 'BN',
        act: str | Mapping[str, Any] = 'ReLU',
    ) -> None:
        super().__init__()
        if adaptive is not None:
            require_choice('gcn_adaptive', adaptive, ('init', 'offset', 'importance'))
        self.adaptive = adaptive
        self.conv_pos = require_choice('gcn_conv_pos', conv_pos, ('pre', 'post'))
        self.num_groups, self.with_res = len(adjacency_kvv), with_res
        if adaptive == 'init':
            self.A = nn.Parameter(adjacency_kvv.clone())
        else:
            self.register_buffer('A', adjacency_kvv.clone())
        if adaptive in ('offset', 'importance'):
            start = torch.ones_like(adjacency_kvv) if adaptive == 'importance' else torch.zeros_like(adjacency_kvv)
            self.PA = nn.Parameter(start if adaptive == 'importance' else start.uniform_(-1e-6, 1e-6))
        widths = (in_channels, out_channels * self.num_groups)
        self.conv = nn.Conv2d(*(widths if conv_pos == 'pre' else (in_channels * self.num_groups, out_channels)), 1)
        self.bn = build_norm_layer(_cfg(norm), out_channels)[1]
        self.act = build_activation_layer(_cfg(act))
        self.down: nn.Module = nn.Identity()
        if with_res and in_channels != out_channels:
            shortcut = nn.Conv2d(in_channels, out_channels, 1)
            self.down = nn.Sequential(shortcut, build_norm_layer(_cfg(norm), out_channels)[1])

    def weights(self) -> Tensor:
        """Weights of neighbours as they are now, ``(K, V, V)``."""
        if self.adaptive == 'offset':
            return self.A + self.PA
        return self.A * self.PA if self.adaptive == 'importance' else self.A

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, T, V)`` -> ``(N, C', T, V)``."""
        if self.conv_pos == 'pre':
            x_nkctv = self.conv(x).unflatten(1, (self.num_groups, -1))
            mixed = torch.einsum('nkctv,kvw->nctw', x_nkctv, self.weights()).contiguous()
        else:
            mixed = self.conv(torch.einsum('nctv,kvw->nkctw', x, self.weights()).flatten(1, 2))
        mixed = self.bn(mixed)
        return self.act(mixed + self.down(x) if self.with_res else mixed)


class TimeUnit(nn.Module):
    """A convolution over time. State keys: ``conv``, ``bn``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Frames it reaches over.
        stride: Stride.
        dilation: Dilation.
        norm: Config, or name, of the normalization; None for none.
        dropout: Of the output.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 9,
        stride: int = 1,
        dilation: int = 1,
        norm: str | Mapping[str, Any] | None = 'BN',
        dropout: float = 0,
    ) -> None:
        super().__init__()
        padding = (kernel_size + (kernel_size - 1) * (dilation - 1) - 1) // 2
        self.conv = nn.Conv2d(
            in_channels, out_channels, (kernel_size, 1), (stride, 1), (padding, 0), dilation=(dilation, 1)
        )
        self.bn = nn.Identity() if norm is None else build_norm_layer(_cfg(norm), out_channels)[1]
        self.drop = nn.Dropout(dropout, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, T, V)`` -> ``(N, C', T', V)``."""
        return self.drop(self.bn(self.conv(x)))


class MultiScaleTime(nn.Module):
    """Convolutions over time of different reach, joined. State keys: ``branches``, ``transform``, ``bn``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        mid_channels: Share of the channels of each branch; None shares all of them out.
        dropout: Of the output.
        ms_cfg: The branches: kernel and dilation, ``('max', kernel)``, or ``'1x1'``.
        stride: Stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: float | None = None,
        dropout: float = 0.0,
        ms_cfg: Sequence[Any] = SCALES,
        stride: int = 1,
    ) -> None:
        super().__init__()
        if mid_channels is None:
            width = out_channels // len(ms_cfg)
            first = out_channels - width * (len(ms_cfg) - 1)
        else:
            first = width = int(out_channels * mid_channels)
        self.branches = nn.ModuleList(
            self._branch(in_channels, width if i else first, cfg, stride) for i, cfg in enumerate(ms_cfg)
        )
        channels = first + width * (len(ms_cfg) - 1)
        self.transform = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, out_channels, 1))
        self.bn = nn.BatchNorm2d(out_channels)
        self.drop = nn.Dropout(dropout, inplace=True)

    @staticmethod
    def _branch(in_channels: int, channels: int, cfg: Any, stride: int) -> nn.Module:
        if cfg == '1x1':
            return nn.Conv2d(in_channels, channels, 1, stride=(stride, 1))
        kind, number = cfg
        if kind == 'max':
            last: nn.Module = nn.MaxPool2d((number, 1), (stride, 1), (1, 0))
        else:
            last = TimeUnit(channels, channels, kind, stride, number, norm=None)
        return nn.Sequential(nn.Conv2d(in_channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, T, V)`` -> ``(N, C', T', V)``."""
        joined = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.drop(self.bn(self.transform(joined)))
