"""Residual blocks of clips, with kernels that reach over time or not.

Shapes: n clips, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.non_local import NonLocal3d


@dataclass(frozen=True)
class BlockOptions:
    """What all blocks of a network have in common.

    Attributes:
        style: ``'pytorch'`` puts the strides of a bottleneck on its second convolution, ``'caffe'`` on the first.
        inflate_style: Where an inflated bottleneck reaches over time: ``'3x1x1'`` in its first convolution, ``'3x3x3'``
            in its second.
        non_local_cfg: Arguments of the non-local blocks.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    style: Literal['pytorch', 'caffe']
    inflate_style: Literal['3x1x1', '3x3x3']
    non_local_cfg: Mapping[str, Any]
    conv_cfg: Mapping[str, Any] | None
    norm_cfg: Mapping[str, Any] | None
    act_cfg: Mapping[str, Any]
    with_cp: bool

    def conv(self, in_channels: int, out_channels: int, kernel: Any, act: bool = True, **options: Any) -> ConvModule:
        """A convolution without a bias, its normalization, and perhaps its activation."""
        cfgs = {'conv_cfg': self.conv_cfg, 'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg if act else None}
        return ConvModule(in_channels, out_channels, kernel, bias=False, **cfgs, **options)


class ResidualBlock3d(nn.Module):
    """Base of the blocks: a subclass makes its convolutions.

    State keys: ``conv1``, ``conv2`` (``conv3``), each with ``conv`` and ``bn``; ``downsample``; ``non_local_block``.

    Args:
        in_channels: Channels of the input.
        channels: Channels inside; the output has :attr:`expansion` times as many.
        options: What all blocks share.
        spatial_stride: Stride in space.
        temporal_stride: Stride in time.
        dilation: Dilation in space.
        inflate: Whether the block reaches over time.
        non_local: Whether a non-local block follows.
        downsamples: Whether the input has to be brought to the shape of the output.
    """

    expansion: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        channels: int,
        options: BlockOptions,
        spatial_stride: int = 1,
        temporal_stride: int = 1,
        dilation: int = 1,
        inflate: bool = True,
        non_local: bool = False,
        downsamples: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = options.with_cp
        stride = (temporal_stride, spatial_stride, spatial_stride)
        self._make_convs(in_channels, channels, options, stride, dilation, inflate)
        out_channels = channels * self.expansion
        self.downsample = options.conv(in_channels, out_channels, 1, False, stride=stride) if downsamples else None
        self.relu = build_activation_layer(options.act_cfg)
        self.non_local_block = NonLocal3d(out_channels, **options.non_local_cfg) if non_local else None

    def _make_convs(
        self,
        in_channels: int,
        channels: int,
        options: BlockOptions,
        stride: tuple[int, int, int],
        dilation: int,
        inflate: bool,
    ) -> None:
        raise NotImplementedError

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        raise NotImplementedError

    def _added(self, x: Tensor) -> Tensor:
        return self.residual(x) + (x if self.downsample is None else self.downsample(x))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, T, H, W)`` in and out."""
        uses_cp = self.with_cp and x.requires_grad
        out = self.relu(checkpoint(self._added, x, use_reentrant=False) if uses_cp else self._added(x))
        return out if self.non_local_block is None else self.non_local_block(out)

    @property
    def last_norm(self) -> nn.Module:
        """The normalization that the residual ends with."""
        raise NotImplementedError


class BasicBlock3d(ResidualBlock3d):
    """Two convolutions. Arguments as :class:`ResidualBlock3d`."""

    expansion = 1

    def _make_convs(
        self,
        in_channels: int,
        channels: int,
        options: BlockOptions,
        stride: tuple[int, int, int],
        dilation: int,
        inflate: bool,
    ) -> None:
        t = 3 if inflate else 1
        spread = {'padding': (t // 2, dilation, dilation), 'dilation': (1, dilation, dilation)}
        self.conv1 = options.conv(in_channels, channels, (t, 3, 3), stride=stride, **spread)
        self.conv2 = options.conv(channels, channels, (t, 3, 3), False, padding=(t // 2, 1, 1))

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        return self.conv2(self.conv1(x))

    @property
    def last_norm(self) -> nn.Module:
        """The normalization that the residual ends with."""
        return self.conv2.norm


class Bottleneck3d(ResidualBlock3d):
    """Three convolutions, the middle one in space. Arguments as :class:`ResidualBlock3d`."""

    expansion = 4

    def _make_convs(
        self,
        in_channels: int,
        channels: int,
        options: BlockOptions,
        stride: tuple[int, int, int],
        dilation: int,
        inflate: bool,
    ) -> None:
        first = 3 if inflate and options.inflate_style == '3x1x1' else 1
        second = 3 if inflate and options.inflate_style == '3x3x3' else 1
        strides = ((1, 1, 1), stride) if options.style == 'pytorch' else (stride, (1, 1, 1))
        spread = {'padding': (second // 2, dilation, dilation), 'dilation': (1, dilation, dilation)}
        self.conv1 = options.conv(in_channels, channels, (first, 1, 1), stride=strides[0], padding=(first // 2, 0, 0))
        self.conv2 = options.conv(channels, channels, (second, 3, 3), stride=strides[1], **spread)
        self.conv3 = options.conv(channels, channels * self.expansion, 1, False)

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        return self.conv3(self.conv2(self.conv1(x)))

    @property
    def last_norm(self) -> nn.Module:
        """The normalization that the residual ends with."""
        return self.conv3.norm


def make_res_layer3d(
    block: type[ResidualBlock3d],
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
            own |= {'spatial_stride': spatial_stride, 'temporal_stride': temporal_stride}
            own['downsamples'] = spatial_stride != 1 or in_channels != channels * block.expansion
        blocks.append(block(in_channels, channels, options, **own))
        in_channels = channels * block.expansion
    return nn.Sequential(*blocks)
