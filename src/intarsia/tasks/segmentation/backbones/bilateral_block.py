"""What DDRNet and PIDNet are made of.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, ModuleList, Sequential
from intarsia.nn.resize import resize

BN: Mapping[str, Any] = {'type': 'BN'}
CONV_LAST = ('norm', 'act', 'conv')


class BasicBlock(BaseModule):
    """Two 3 x 3 convolutions, added to the input.

    State keys: ``conv1``, ``conv2``, ``downsample``.

    Args:
        in_channels: Input channels.
        channels: Channels inside; output channels are ``expansion`` times as many.
        stride: Stride of the first convolution that may have one.
        downsample: What the input goes through before it is added, or None.
        norm_cfg: Config of the normalizations.
        activates: Whether the sum is activated.
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        activates: bool = True,
    ) -> None:
        super().__init__()
        self.build_convs(in_channels, channels, stride, norm_cfg)
        self.downsample = downsample
        self.activates = activates

    def build_convs(self, in_channels: int, channels: int, stride: int, norm_cfg: Mapping[str, Any]) -> None:
        """Make ``conv1`` and what follows it."""
        self.conv1 = ConvModule(in_channels, channels, 3, stride, 1, norm_cfg=norm_cfg)
        self.conv2 = ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None)

    def convolve(self, x_nchw: Tensor) -> Tensor:
        """The convolutions in a row."""
        return self.conv2(self.conv1(x_nchw))

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, expansion * channels, H / stride, W / stride)``."""
        out_nchw = self.convolve(x_nchw) + (x_nchw if self.downsample is None else self.downsample(x_nchw))
        return out_nchw.relu() if self.activates else out_nchw


class Bottleneck(BasicBlock):
    """Three convolutions of which only the middle one is 3 x 3, added to the input."""

    expansion: ClassVar[int] = 2

    def build_convs(self, in_channels: int, channels: int, stride: int, norm_cfg: Mapping[str, Any]) -> None:
        """Make ``conv1`` and what follows it."""
        self.conv1 = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg)
        self.conv2 = ConvModule(channels, channels, 3, stride, 1, norm_cfg=norm_cfg)
        self.conv3 = ConvModule(channels, channels * self.expansion, 1, norm_cfg=norm_cfg, act_cfg=None)

    def convolve(self, x_nchw: Tensor) -> Tensor:
        """The convolutions in a row."""
        return self.conv3(self.conv2(self.conv1(x_nchw)))


def make_block(
    block: type[BasicBlock],
    in_channels: int,
    channels: int,
    make_downsample: Callable[[int, int, int], nn.Module],
    stride: int = 1,
    **options: Any,
) -> BasicBlock:
    """A block; ``make_downsample(in_channels, out_channels, stride)`` serves where shapes change."""
    width = channels * block.expansion
    downsample = make_downsample(in_channels, width, stride) if stride != 1 or in_channels != width else None
    return block(in_channels, channels, stride, downsample, **options)


def make_layer(
    block: type[BasicBlock],
    in_channels: int,
    channels: int,
    num_blocks: int,
    make_downsample: Callable[[int, int, int], nn.Module],
    stride: int = 1,
    later_norm_cfg: Mapping[str, Any] = BN,
) -> nn.Sequential:
    """Blocks in a row; the last of several is not activated, nor is a single bottleneck.

    Args:
        block: Class of the blocks.
        in_channels: Input channels.
        channels: Channels inside.
        num_blocks: Number of blocks.
        make_downsample: As :func:`make_block` takes it.
        stride: Stride of the first block.
        later_norm_cfg: Config of the normalizations of all blocks but the first.
    """
    first = make_block(block, in_channels, channels, make_downsample, stride, activates=block is BasicBlock)
    width = channels * block.expansion
    others = [
        block(width, channels, norm_cfg=later_norm_cfg, activates=i < num_blocks - 1) for i in range(1, num_blocks)
    ]
    return nn.Sequential(first, *others)


def make_stem(
    in_channels: int,
    channels: int,
    num_blocks: int,
    layer: Callable[..., nn.Module],
    norm_cfg: Mapping[str, Any] | None,
    act_cfg: Mapping[str, Any] | None,
) -> nn.Sequential:
    """From an image to a map of twice ``channels`` at an eighth of its resolution.

    Args:
        in_channels: Channels of the image.
        channels: Channels at the beginning.
        num_blocks: Blocks of each of the two layers.
        layer: Makes a layer, as :func:`make_layer` with ``make_downsample`` and ``later_norm_cfg`` given.
        norm_cfg: Config of the normalizations of the two convolutions before them.
        act_cfg: Config of their activations.
    """
    conv = partial(ConvModule, kernel_size=3, stride=2, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
    return nn.Sequential(
        conv(in_channels, channels),
        conv(channels, channels),
        layer(BasicBlock, channels, channels, num_blocks),
        nn.ReLU(),
        layer(BasicBlock, channels, channels * 2, num_blocks, stride=2),
        nn.ReLU(),
    )


class DAPPM(BaseModule):
    """Pool at several scales, and add each to the next larger one.

    The deep aggregation of "Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road
    Scenes" (Hong et al., 2021, arXiv:2101.06085).

    State keys: ``scales``, ``processes``, ``compression``, ``shortcut``.

    Args:
        in_channels: Input channels.
        branch_channels: Channels of each scale.
        out_channels: Output channels.
    """

    strides: ClassVar[tuple[int, ...]] = (2, 4, 8)
    """Windows of twice as many places and one more, so far apart; then the whole map."""

    def __init__(self, in_channels: int, branch_channels: int, out_channels: int) -> None:
        super().__init__()
        conv = partial(ConvModule, norm_cfg=BN, order=CONV_LAST, bias=False)
        pools = [nn.AvgPool2d(2 * stride + 1, stride, stride) for stride in self.strides]
        self.scales = ModuleList([conv(in_channels, branch_channels, 1)])
        for pool in (*pools, nn.AdaptiveAvgPool2d((1, 1))):
            self.scales.append(Sequential(pool, conv(in_channels, branch_channels, 1)))
        self.processes: Any = self.make_processes(branch_channels, len(self.scales) - 1, conv)
        self.compression = conv(branch_channels * len(self.scales), out_channels, 1)
        self.shortcut = conv(in_channels, out_channels, 1)

    def make_processes(self, channels: int, number: int, conv: Callable[..., nn.Module]) -> nn.Module:
        """Make what the scales go through."""
        return ModuleList(conv(channels, channels, 3, padding=1) for _ in range(number))

    def process(self, first_nchw: Tensor, others: list[Tensor]) -> list[Tensor]:
        """What comes of the scales but the first."""
        outs = [first_nchw]
        for conv, x_nchw in zip(self.processes, others, strict=True):
            outs.append(conv(x_nchw + outs[-1]))
        return outs[1:]

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        first, *others = self.scales
        first_nchw, size = first(x_nchw), x_nchw.shape[2:]
        larger = [resize(scale(x_nchw), size=size, mode='bilinear', align_corners=False) for scale in others]
        joined_nchw = torch.cat([first_nchw, *self.process(first_nchw, larger)], dim=1)
        return self.compression(joined_nchw) + self.shortcut(x_nchw)


class PAPPM(DAPPM):
    """As :class:`DAPPM`, with every scale added to the smallest, all at once.

    The parallel aggregation of "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers" (Xu et
    al., 2022, arXiv:2206.02066).
    """

    def make_processes(self, channels: int, number: int, conv: Callable[..., nn.Module]) -> nn.Module:
        """Make the convolution that all scales go through side by side."""
        return conv(channels * number, channels * number, 3, padding=1, groups=number)

    def process(self, first_nchw: Tensor, others: list[Tensor]) -> list[Tensor]:
        """What comes of the scales but the first, joined."""
        return [self.processes(torch.cat([x_nchw + first_nchw for x_nchw in others], dim=1))]
