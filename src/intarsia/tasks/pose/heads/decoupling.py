"""Parts of heads that make maps of one person after the other, from what the network sees at the person's middle.

"Contextual Instance Decoupling for Robust Multi-Person Pose Estimation" (Wang and Zhang, CVPR 2022).

Shapes: n images, p people, k joints, c channels, g channels of all people's maps, h rows, w columns; places are x, y in
pixels of the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

UNIT = 32.0
"""Distances from a person's middle are in so many pixels."""
LEAST = 1e-4
"""Probabilities lie between this and one less this."""


class ChannelAttention(nn.Module):
    """A factor for each channel, from a person's features. State key: ``atn``.

    Args:
        in_channels: C.
        out_channels: G.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.atn = nn.Linear(in_channels, out_channels)

    def forward(self, maps_pghw: Tensor, feats_pc: Tensor) -> Tensor:
        """Maps of people, weighed."""
        return maps_pghw * self.atn(feats_pc)[..., None, None]


class SpatialAttention(nn.Module):
    """A factor for each pixel, from a person's features and middle. State keys: ``atn``, ``conv``.

    Args:
        in_channels: C.
        out_channels: G.
        offset: Where in a pixel its place is: 0, or 0.5 for its middle.
    """

    def __init__(self, in_channels: int, out_channels: int, offset: float = 0.0) -> None:
        super().__init__()
        self.offset = offset
        self.atn = nn.Linear(in_channels, out_channels)
        self.conv = nn.Conv2d(3, 1, 5, padding=2)

    def forward(self, maps_pghw: Tensor, feats_pc: Tensor, place_p2: Tensor) -> Tensor:
        """Maps of people, weighed."""
        height, width = maps_pghw.shape[2:]
        weighed = (maps_pghw * self.atn(feats_pc)[..., None, None]).sum(1, keepdim=True)
        x, y = (torch.arange(length, device=maps_pghw.device) + self.offset for length in (width, height))
        away_x, away_y = place_p2[:, :1] - x, place_p2[:, 1:] - y
        shape = (len(place_p2), 1, height, width)
        away = torch.cat([away_x[:, None, None, :].expand(shape), away_y[:, None, :, None].expand(shape)], 1) / UNIT
        return maps_pghw * self.conv(torch.cat([weighed, away.to(weighed.dtype)], 1)).sigmoid()


def probabilities(x: Tensor) -> Tensor:
    """Neither 0 nor 1, so that they have logarithms."""
    return x.sigmoid().clamp(LEAST, 1 - LEAST)


def feats_at(feats_nchw: Tensor, image_p: Tensor, place_p2: Tensor) -> Tensor:
    """The features of pixels, ``(P, C)``."""
    return feats_nchw[image_p, :, place_p2[:, 1], place_p2[:, 0]]


def smoothed(maps_nkhw: Tensor, kernel_size: int = 3) -> Tensor:
    """The mean of maps and of their means around each pixel."""
    mean = F.avg_pool2d(maps_nkhw, kernel_size, 1, (kernel_size - 1) // 2)
    return (maps_nkhw + mean) / 2


def middles_of(heat_11hw: Tensor, kernel_size: int, most: int, threshold: float) -> tuple[Tensor, Tensor]:
    """The peaks of a map of middles: places ``(P, 2)``, int64, and scores ``(P,)``, the best first.

    Args:
        heat_11hw: The map.
        kernel_size: Of the blur.
        most: Greatest number of people.
        threshold: Scores are higher.
    """
    heat = smoothed(heat_11hw, kernel_size)
    height, width = heat.shape[2:]
    side = (height + width) / 2
    kernel = 7 if side > 300 else 5 if side > 200 else 3
    peaks = (heat * (heat == F.max_pool2d(heat, kernel, 1, kernel // 2))).flatten()
    score_p, index = peaks.topk(min(most, len(peaks)))
    is_high = score_p > threshold
    index = index[is_high]
    return torch.stack([index % width, index // width], 1), score_p[is_high]


def mirrored_together(feats_nchw: Tensor, mirrored_nchw: Tensor | None) -> Tensor:
    """Features of one image, and after them those of the mirrored image, mirrored back."""
    return feats_nchw if mirrored_nchw is None else torch.cat([feats_nchw, mirrored_nchw.flip(-1)])
