"""Blocks of the ResNet family, and stages made of them.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.models.backbones.plugin import BlockPlugins
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.drop import path_or_identity
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.squeeze_excite import SELayer

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}


class ResidualBlock(BaseModule):
    """A branch of convolutions added to its input; the base of the two kinds.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        expansion: Output channels divided by the channels inside; the class's own number if None.
        stride: Stride of the block.
        dilation: Dilation of its 3 x 3 convolution (of the first, where there are two).
        downsample: Layers that bring the input to the shape of the output; None where they are equal.
        style: ``'pytorch'`` puts the stride of a bottleneck on its 3 x 3 convolution, ``'caffe'`` on the first.
        with_cp: Keep no activations of the branch for the backward pass, but compute them again.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        drop_path_rate: Probability that a sample goes without the branch.
        init_cfg: How weights are initialized.
    """

    default_expansion = 1
    conv1: nn.Module
    conv2: nn.Module
    norm1_name: str
    norm2_name: str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: int | None = None,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: Literal['pytorch', 'caffe'] = 'pytorch',
        with_cp: bool = False,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        drop_path_rate: float = 0.0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if style not in ('pytorch', 'caffe'):
            raise ValueError(f"style must be 'pytorch' or 'caffe', not {style!r}")
        self.expansion = expansion or self.default_expansion
        if out_channels % self.expansion:
            raise ValueError(f'out_channels={out_channels} is not a multiple of expansion={self.expansion}')
        self.in_channels, self.out_channels = in_channels, out_channels
        self.mid_channels = out_channels // self.expansion
        self.stride, self.dilation, self.style, self.with_cp = stride, dilation, style, with_cp
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        self.relu = build_activation_layer(act_cfg)
        self.downsample = downsample
        self.drop_path = path_or_identity(drop_path_rate)

    def add_conv(self, number: int, in_channels: int, out_channels: int, kernel_size: int, **kwargs: Any) -> None:
        """Add the convolution ``conv{number}`` and its normalization, ``bn{number}`` or as it is called."""
        conv = build_conv_layer(self.conv_cfg, in_channels, out_channels, kernel_size, bias=False, **kwargs)
        self.add_module(f'conv{number}', conv)
        name, norm = build_norm_layer(self.norm_cfg, out_channels, postfix=number)
        setattr(self, f'norm{number}_name', name)
        self.add_module(name, norm)

    @property
    def norm1(self) -> nn.Module:
        """Normalization of the first convolution."""
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> nn.Module:
        """Normalization of the second convolution."""
        return getattr(self, self.norm2_name)

    @property
    def last_norm(self) -> nn.Module:
        """Normalization at the end of the branch."""
        raise NotImplementedError(f'{type(self).__name__} has no convolutions')

    def branch(self, x_nchw: Tensor) -> Tensor:
        """What is added to the input."""
        raise NotImplementedError(f'{type(self).__name__} has no branch')

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.with_cp and x_nchw.requires_grad:
            return self.relu(checkpoint(self._sum, x_nchw, use_reentrant=False))
        return self.relu(self._sum(x_nchw))

    def _sum(self, x_nchw: Tensor) -> Tensor:
        identity_nchw = x_nchw if self.downsample is None else self.downsample(x_nchw)
        out_nchw = self.drop_path(self.branch(x_nchw))
        out_nchw += identity_nchw
        return out_nchw


class BasicBlock(ResidualBlock):
    """Two 3 x 3 convolutions; the block of ResNet-18 and ResNet-34. Arguments of :class:`ResidualBlock`, no plugins."""

    def __init__(
        self, in_channels: int, out_channels: int, plugins: Sequence[Mapping[str, Any]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        if plugins:
            raise ValueError('a BasicBlock has no place for plugins; those of depths 50 and more have')
        if self.expansion != 1:
            raise ValueError(f'a BasicBlock has expansion 1, not {self.expansion}')
        stride, dilation = self.stride, self.dilation
        self.add_conv(1, in_channels, out_channels, 3, stride=stride, padding=dilation, dilation=dilation)
        self.add_conv(2, out_channels, out_channels, 3, padding=1)

    @property
    def last_norm(self) -> nn.Module:
        """Normalization of the second convolution."""
        return self.norm2

    def branch(self, x_nchw: Tensor) -> Tensor:
        """Two convolutions with an activation in between."""
        x_nchw = self.relu(self.norm1(self.conv1(x_nchw)))
        return self.norm2(self.conv2(x_nchw))


class Bottleneck(ResidualBlock):
    """Convolutions 1 x 1, 3 x 3, 1 x 1 with fewer channels inside; the block of ResNet-50 and deeper.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        groups: Groups of the 3 x 3 convolution (ResNeXt).
        width_per_group: Channels of each group in the first stage; of no account for one group.
        base_channels: Channels inside the first stage, for ``groups=1``.
        se_ratio: By how much a squeeze-and-excitation layer at the end of the branch squeezes; None for no such layer.
        plugins: Layers to put in, as :class:`~intarsia.models.backbones.plugin.BlockPlugins` takes them.
        **kwargs: Arguments of :class:`ResidualBlock`.
    """

    default_expansion = 4
    conv3: nn.Module
    norm3_name: str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int = 1,
        width_per_group: int = 4,
        base_channels: int = 64,
        se_ratio: int | None = None,
        plugins: Sequence[Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        if groups != 1:
            self.mid_channels = groups * width_per_group * self.mid_channels // base_channels
        first, second = (1, self.stride) if self.style == 'pytorch' else (self.stride, 1)
        mid, dilation = self.mid_channels, self.dilation
        self.add_conv(1, in_channels, mid, 1, stride=first)
        self.add_conv(2, mid, mid, 3, stride=second, padding=dilation, dilation=dilation, groups=groups)
        self.add_conv(3, mid, out_channels, 1)
        self.se_layer = nn.Identity() if se_ratio is None else SELayer(out_channels, ratio=se_ratio)
        self.plugins = BlockPlugins(self, plugins, (mid, mid, out_channels)) if plugins else None

    @property
    def norm3(self) -> nn.Module:
        """Normalization of the third convolution."""
        return getattr(self, self.norm3_name)

    @property
    def last_norm(self) -> nn.Module:
        """Normalization of the third convolution."""
        return self.norm3

    def branch(self, x_nchw: Tensor) -> Tensor:
        """Three convolutions with activations in between and plugins after each, then attention over channels."""
        x_nchw = self._plugged('after_conv1', self.relu(self.norm1(self.conv1(x_nchw))))
        x_nchw = self._plugged('after_conv2', self.relu(self.norm2(self.conv2(x_nchw))))
        return self.se_layer(self._plugged('after_conv3', self.norm3(self.conv3(x_nchw))))

    def _plugged(self, position: str, x_nchw: Tensor) -> Tensor:
        return x_nchw if self.plugins is None else self.plugins.apply(self, position, x_nchw)


class ResLayer(nn.Sequential):
    """A stage: blocks of which the first changes resolution and channels.

    Args:
        block: Class of the blocks.
        num_blocks: Number of blocks.
        in_channels: Input channels.
        out_channels: Output channels.
        expansion: Expansion of the blocks; the class's own number if None.
        stride: Stride of the first block.
        dilation: Dilation of the blocks.
        avg_down: Bring the input to a lower resolution by averaging, not by a strided convolution.
        avg_always: With ``avg_down``, have an average (of one place) where the resolution stays, too: then the
            convolution is ``downsample.1`` in every stage.
        multi_grid: Dilation of every block; takes the place of ``dilation``.
        contract_dilation: Give the first block half the dilation.
        drop_path_rate: Drop probability of all blocks, or one for each.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        **kwargs: Further arguments of the blocks.
    """

    def __init__(
        self,
        block: type[ResidualBlock],
        num_blocks: int,
        in_channels: int,
        out_channels: int,
        expansion: int | None = None,
        stride: int = 1,
        dilation: int = 1,
        avg_down: bool = False,
        avg_always: bool = False,
        multi_grid: Sequence[int] | None = None,
        contract_dilation: bool = False,
        drop_path_rate: float | Sequence[float] = 0.0,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        **kwargs: Any,
    ) -> None:
        rates = [drop_path_rate] * num_blocks if isinstance(drop_path_rate, (int, float)) else list(drop_path_rate)
        first = dilation // 2 if contract_dilation and dilation > 1 else dilation
        dilations = multi_grid or [first, *[dilation] * (num_blocks - 1)]
        downsample = None
        if stride != 1 or in_channels != out_channels:
            pools = avg_down and (avg_always or stride != 1)
            downsample = downsampling(in_channels, out_channels, stride, pools, conv_cfg, norm_cfg)
        blocks = [
            block(
                in_channels=out_channels if i else in_channels,
                out_channels=out_channels,
                expansion=expansion,
                stride=1 if i else stride,
                dilation=dilations[i],
                downsample=None if i else downsample,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                drop_path_rate=rates[i],
                **kwargs,
            )
            for i in range(num_blocks)
        ]
        super().__init__(*blocks)


def downsampling(
    in_channels: int,
    out_channels: int,
    stride: int,
    pools: bool,
    conv_cfg: Mapping[str, Any] | None,
    norm_cfg: Mapping[str, Any],
) -> nn.Sequential:
    """A 1 x 1 convolution and a normalization that bring the input of a block to the shape of its output."""
    layers: list[nn.Module] = []
    if pools:
        layers.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
        stride = 1
    layers.append(build_conv_layer(conv_cfg, in_channels, out_channels, kernel_size=1, stride=stride, bias=False))
    layers.append(build_norm_layer(norm_cfg, out_channels)[1])
    return nn.Sequential(*layers)
