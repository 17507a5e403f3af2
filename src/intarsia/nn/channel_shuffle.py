"""Exchange of channels between groups.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from torch import Tensor


def channel_shuffle(x_nchw: Tensor, groups: int) -> Tensor:
    """Take channels from the groups in turn, so that the next grouped convolution sees something of each.

    "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices" (Zhang et al., 2017,
    arXiv:1707.01083).

    Args:
        x_nchw: ``(N, C, H, W)``.
        groups: Number of groups; divides C.

    Returns:
        A tensor of the same shape.

    Raises:
        ValueError: ``groups`` does not divide C.
    """
    if x_nchw.shape[1] % groups:
        raise ValueError(f'channel_shuffle: {x_nchw.shape[1]} channels are not divisible into {groups} groups')
    return x_nchw.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
