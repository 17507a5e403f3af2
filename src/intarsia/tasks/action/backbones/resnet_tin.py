"""The residual network of frames that move by learned distances in time.

Shapes: x clips, t frames of each, c channels, h rows, w columns, g groups of channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.tasks.action.backbones.resnet_tsm import ResNetTSM

GROUPS = 2
"""Groups that have an offset of their own; as many move by the same distance the other way."""


def interlace(clip_xtchw: Tensor, offset_xg: Tensor) -> Tensor:
    """Move groups of channels by fractions of frames: between two frames it is interpolated, beyond the clip is 0.

    Args:
        clip_xtchw: C is a multiple of G.
        offset_xg: Frames by which a group moves forwards.
    """
    time = torch.arange(clip_xtchw.shape[1], device=clip_xtchw.device)
    distance_xgts = time[:, None] - time - offset_xg[..., None, None]
    weight_xgts = (1 - distance_xgts.abs()).clamp(min=0).to(clip_xtchw.dtype)  # how much of frame s is in frame t
    grouped = clip_xtchw.unflatten(2, (offset_xg.shape[1], -1))
    return torch.einsum('xgts,xsgchw->xtgchw', weight_xgts, grouped).flatten(2, 3)


class OffsetNet(nn.Module):
    """Distances of groups, -2 ... 2 frames.

    Args:
        in_channels: Channels that it sees.
        groups: G.
        num_segments: T.
    """

    def __init__(self, in_channels: int, groups: int, num_segments: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, 1, 3, padding=1)
        self.fc1 = nn.Linear(num_segments, num_segments)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(num_segments, groups)
        nn.init.constant_(self.fc2.bias, 0.5108)  # half a frame, where the weights are 0

    def forward(self, mean_xct: Tensor) -> Tensor:
        """``(X, C, T)`` -> ``(X, G)``."""
        out: Tensor = self.fc2(self.relu(self.fc1(self.conv(mean_xct).squeeze(1))))
        return 4 * (out.sigmoid() - 0.5)


class WeightNet(nn.Module):
    """Weights of the frames of groups, 0 ... 2.

    Args:
        in_channels: Channels that it sees.
        groups: G.
    """

    def __init__(self, in_channels: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, groups, 3, padding=1)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, mean_xct: Tensor) -> Tensor:
        """``(X, C, T)`` -> ``(X, T, G)``."""
        return 2 * self.conv(mean_xct).sigmoid().transpose(1, 2)


class TemporalInterlace(nn.Module):
    """Moves and weighs the first channels of frames. State keys: ``offset_net``, ``weight_net``.

    Args:
        in_channels: C.
        num_segments: T.
        shift_div: One over the share of the channels that move.

    Raises:
        ValueError: The channels that move are not a multiple of four.
    """

    def __init__(self, in_channels: int, num_segments: int = 3, shift_div: int = 1) -> None:
        super().__init__()
        self.num_segments, self.num_moving = num_segments, in_channels // shift_div
        if self.num_moving % (2 * GROUPS):
            raise ValueError(f'TemporalInterlace: {in_channels} / shift_div={shift_div} is no multiple of {2 * GROUPS}')
        self.offset_net = OffsetNet(self.num_moving, GROUPS, num_segments)
        self.weight_net = WeightNet(self.num_moving, GROUPS)

    def forward(self, x: Tensor) -> Tensor:
        """``(X * T, C, H, W)`` in and out."""
        moving, rest = x[:, : self.num_moving], x[:, self.num_moving :]
        clip_xtchw = moving.unflatten(0, (-1, self.num_segments))
        mean_xct = clip_xtchw.mean(dim=(3, 4)).transpose(1, 2)
        offset_xg = self.offset_net(mean_xct)
        moved = interlace(clip_xtchw, torch.cat([offset_xg, -offset_xg], dim=1))
        weight_xtg = self.weight_net(mean_xct).repeat(1, 1, 2)
        weight_xtc = weight_xtg.repeat_interleave(self.num_moving // weight_xtg.shape[2], dim=2)
        return torch.cat([(moved * weight_xtc[..., None, None]).flatten(0, 1).to(x.dtype), rest], dim=1)


class CombineNet(nn.Module):
    """Two layers that follow each other. State keys: ``net1``, ``net2``.

    Args:
        net1: What is new.
        net2: The layer that was there before.
    """

    def __init__(self, net1: nn.Module, net2: nn.Module) -> None:
        super().__init__()
        self.net1, self.net2 = net1, net2

    @property
    def wrapped(self) -> nn.Module:
        """The layer that was there before."""
        return self.net2

    def forward(self, x: Tensor) -> Tensor:
        """What the second layer gives for the first one's output."""
        return self.net2(self.net1(x))


@BACKBONES.register_module()
class ResNetTIN(ResNetTSM):
    """:class:`~intarsia.tasks.action.backbones.resnet.ResNet` whose channels move by learned distances in time.

    "Temporal Interlacing Network" (Shao et al., 2020, arXiv:2001.06499).

    State keys: those of the network of frames, with ``net2`` before the name of what follows a ``net1`` that moves
    channels.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_segments: Frames of a clip.
        is_tin: Whether channels move at all.
        non_local: As in :class:`~intarsia.tasks.action.backbones.resnet_tsm.ResNetTSM`.
        non_local_cfg: As there.
        shift_div: One over the share of the channels that move.
        is_shift: Accepted, but without effect, as are ``shift_place`` and ``temporal_pool``.
        **kwargs: Arguments of :class:`~intarsia.tasks.action.backbones.resnet.ResNet`.
    """

    def __init__(
        self,
        depth: int,
        num_segments: int = 8,
        is_tin: bool = True,
        non_local: Sequence[Any] | int = (0, 0, 0, 0),
        non_local_cfg: Mapping[str, Any] | None = None,
        shift_div: int = 8,
        is_shift: bool = True,
        shift_place: str = 'blockres',
        temporal_pool: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(depth, num_segments, is_tin, non_local, non_local_cfg, shift_div, **kwargs)

    def _shift(self, stage: nn.Sequential, num_segments: int, place: str) -> None:
        for block in stage:
            first: Any = block.conv1
            mover = TemporalInterlace(first.in_channels, num_segments, self.shift_div)
            first.conv = CombineNet(mover, first.conv)
