"""Frames of a clip that exchange channels with their neighbours.

Shapes: x clips times t frames, c channels, h rows, w columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from intarsia.nn.non_local import NonLocal3d


def shift(x: Tensor, num_segments: int, shift_div: int) -> Tensor:
    """Move some channels to the frame before, and as many to the frame after.

    "TSM: Temporal Shift Module for Efficient Video Understanding" (Lin et al., 2018, arXiv:1811.08383).

    Args:
        x: ``(X * T, C, H, W)``, the frames of a clip one after the other.
        num_segments: T.
        shift_div: The first C / shift_div channels come from the next frame, the following ones from the frame before;
            what comes from outside the clip is 0.
    """
    clip_xtchw = x.unflatten(0, (-1, num_segments))
    fold = x.shape[1] // shift_div
    # parts put together, not written into a whole: the gradient of that would be copied once for each part
    next_xtchw, last_xtchw, same_xtchw = clip_xtchw.split([fold, fold, x.shape[1] - 2 * fold], dim=2)
    next_xtchw = functional.pad(next_xtchw[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    last_xtchw = functional.pad(last_xtchw[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat([next_xtchw, last_xtchw, same_xtchw], dim=2).flatten(0, 1)


class TemporalShift(nn.Module):
    """A layer whose input is shifted; see :func:`shift`. State keys: ``net``.

    Args:
        net: The layer.
        num_segments: Frames of a clip.
        shift_div: One over the share of the channels that move in each direction.
    """

    def __init__(self, net: nn.Module, num_segments: int = 3, shift_div: int = 8) -> None:
        super().__init__()
        self.net, self.num_segments, self.shift_div = net, num_segments, shift_div

    @property
    def wrapped(self) -> nn.Module:
        """The layer."""
        return self.net

    def forward(self, x: Tensor) -> Tensor:
        """``(X * T, C, H, W)`` in, what the layer gives out."""
        return self.net(shift(x, self.num_segments, self.shift_div))


class TemporalPool(nn.Module):
    """A layer that sees half as many frames: the largest of three neighbours. State keys: ``net``.

    Args:
        net: The layer.
        num_segments: Frames of a clip.
    """

    def __init__(self, net: nn.Module, num_segments: int) -> None:
        super().__init__()
        self.net, self.num_segments = net, num_segments
        self.max_pool3d = nn.MaxPool3d(kernel_size=(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        """``(X * T, C, H, W)`` in, what the layer gives for half the frames out."""
        clip_xcthw = x.unflatten(0, (-1, self.num_segments)).transpose(1, 2)
        return self.net(self.max_pool3d(clip_xcthw).transpose(1, 2).flatten(0, 1))


class NonLocalWrapper(nn.Module):
    """A block of frames, and a non-local block over the clip after it. State keys: ``block``, ``non_local_block``.

    Args:
        block: The block.
        channels: Channels of its output.
        num_segments: Frames of a clip.
        non_local_cfg: Arguments of :class:`~intarsia.nn.non_local.NonLocal3d`.
    """

    def __init__(self, block: nn.Module, channels: int, num_segments: int, non_local_cfg: Any) -> None:
        super().__init__()
        self.block, self.num_segments = block, num_segments
        self.non_local_block = NonLocal3d(channels, **non_local_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """``(X * T, C, H, W)`` in and out."""
        clip_xcthw = self.block(x).unflatten(0, (-1, self.num_segments)).transpose(1, 2)
        return self.non_local_block(clip_xcthw).transpose(1, 2).flatten(0, 1)
