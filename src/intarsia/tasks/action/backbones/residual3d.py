"""Residual blocks of clips, with kernels that reach over time or not.

Shapes: n clips, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.tasks.action.backbones.residual_block import BlockOptions, ResidualBlock


class BasicBlock3d(ResidualBlock):
    """Two convolutions. Arguments as :class:`~intarsia.tasks.action.backbones.residual_block.ResidualBlock`."""

    expansion = 1

    def _make_convs(
        self,
        in_channels: int,
        channels: int,
        options: BlockOptions,
        stride: Any,
        dilation: int,
        inflate: bool,
    ) -> None:
        t = 3 if inflate else 1
        spread: dict[str, Any] = {'padding': (t // 2, dilation, dilation), 'dilation': (1, dilation, dilation)}
        self.conv1 = options.conv(in_channels, channels, (t, 3, 3), stride=stride, **spread)
        self.conv2 = options.conv(channels, channels, (t, 3, 3), False, padding=(t // 2, 1, 1))

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        return self.conv2(self.conv1(x))

    @property
    def last_norm(self) -> Any:
        """The normalization that the residual ends with."""
        return self.conv2.norm


class Bottleneck3d(ResidualBlock):
    """Three convolutions, the middle one in space.

    Arguments as :class:`~intarsia.tasks.action.backbones.residual_block.ResidualBlock`.
    """

    expansion = 4

    def _make_convs(
        self,
        in_channels: int,
        channels: int,
        options: BlockOptions,
        stride: Any,
        dilation: int,
        inflate: bool,
    ) -> None:
        first = 3 if inflate and options.inflate_style == '3x1x1' else 1
        second = 3 if inflate and options.inflate_style == '3x3x3' else 1
        strides = ((1, 1, 1), stride) if options.style == 'pytorch' else (stride, (1, 1, 1))
        spread: dict[str, Any] = {'padding': (second // 2, dilation, dilation), 'dilation': (1, dilation, dilation)}
        self.conv1 = options.conv(in_channels, channels, (first, 1, 1), stride=strides[0], padding=(first // 2, 0, 0))
        self.conv2 = options.conv(channels, channels, (second, 3, 3), stride=strides[1], **spread)
        self.conv3 = options.conv(channels, channels * self.expansion, 1, False)

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        return self.conv3(self.conv2(self.conv1(x)))

    @property
    def last_norm(self) -> Any:
        """The normalization that the residual ends with."""
        return self.conv3.norm


def make_res_layer3d(
    block: type[ResidualBlock],
    num_blocks: int,
    in_channels: int,
    channels: int,
    options: BlockOptions,
    spatial_stride: int = 1,
    temporal_stride: int = 1,
    dilation: int = 1,
    inflate: int | Sequence[int] = 1,
    non_local: int | Sequence[int] = 0,
) -> nn.Sequential:
    """The blocks of one stage, of which the first has the strides.

    Args:
        block: Their class.
        num_blocks: How many.
        in_channels: Channels of the input.
        channels: Channels inside the blocks.
        options: What all blocks share.
        spatial_stride: Stride in space.
        temporal_stride: Stride in time.
        dilation: Dilation in space.
        inflate: Which blocks reach over time: 1 or 0 for all, or for each.
        non_local: Which blocks a non-local block follows.

    Raises:
        ValueError: ``inflate`` or ``non_local`` is for another number of blocks.
    """
    inflates = (inflate,) * num_blocks if isinstance(inflate, int) else tuple(inflate)
    gathers = (non_local,) * num_blocks if isinstance(non_local, int) else tuple(non_local)
    if not len(inflates) == len(gathers) == num_blocks:
        raise ValueError(f'a stage of {num_blocks} blocks cannot have inflate={inflate} and non_local={non_local}')
    blocks = []
    for i in range(num_blocks):
        own: dict[str, Any] = {'inflate': inflates[i] == 1, 'non_local': gathers[i] == 1, 'dilation': dilation}
        if i == 0:
            own['stride'] = (temporal_stride, spatial_stride, spatial_stride)
            own['downsamples'] = spatial_stride != 1 or in_channels != channels * block.expansion
        blocks.append(block(in_channels, channels, options, **own))
        in_channels = channels * block.expansion
    return nn.Sequential(*blocks)
