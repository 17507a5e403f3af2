"""ResNet of spectrograms.

Shapes: n parts of spectrograms, c channels, s steps of time, f frequencies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES, CONV_LAYERS
from intarsia.models.backbones.backbone import Backbone, init_from
from intarsia.models.backbones.residual import ResidualBlock
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.init import constant_init
from intarsia.nn.module import InitCfg
from intarsia.nn.pair import Pair

BN: Mapping[str, Any] = {'type': 'BN2d', 'requires_grad': True}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}


@CONV_LAYERS.register_module()
class ConvAudio(nn.Module):
    """A convolution over time and one over frequencies, each with normalization and activation.

    State keys: ``conv_1``, ``conv_2``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels of each.
        kernel_size: Size over time and over frequencies, odd.
        op: ``'concat'`` puts their channels after each other (twice ``out_channels``), ``'sum'`` adds them.
        stride: Stride of both.
        padding: Not used: each convolution keeps the size, but for its stride.
        dilation: Not used: it is 1.
        groups: Not used: it is 1.
        bias: Whether the convolutions have a bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        op: Literal['concat', 'sum'] = 'concat',
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if op not in ('concat', 'sum'):
            raise ValueError(f"ConvAudio: op is 'concat' or 'sum', not {op!r}")
        over_time, over_frequency = (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, (over_time, over_frequency)
        self.op, self.stride, self.dilation, self.groups = op, stride, dilation, groups
        channels = in_channels, out_channels
        options: dict[str, Any] = {'stride': stride, 'bias': bias, 'norm_cfg': BN}
        self.conv_1 = ConvModule(*channels, (over_time, 1), padding=(over_time // 2, 0), **options)
        self.conv_2 = ConvModule(*channels, (1, over_frequency), padding=(0, over_frequency // 2), **options)

    def init_weights(self) -> None:
        """Its two layers have done so already."""

    def forward(self, x_ncsf: Tensor) -> Tensor:
        """``(N, in_channels, S, F)`` to ``(N, C, S / stride, F / stride)``."""
        parts = self.conv_1(x_ncsf), self.conv_2(x_ncsf)
        return torch.cat(parts, dim=1) if self.op == 'concat' else parts[0] + parts[1]


class AudioBottleneck(ResidualBlock):
    """A bottleneck whose middle convolution may be a :class:`ConvAudio`.

    State keys: ``conv1`` ... ``conv3``, ``downsample``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        factorize: Whether it is; otherwise it is a 3 x 3 convolution, without normalization.
        options: As of :class:`~intarsia.models.backbones.residual.ResidualBlock`.
    """

    default_expansion = 4

    def __init__(self, in_channels: int, out_channels: int, factorize: bool = True, **options: Any) -> None:
        super().__init__(in_channels, out_channels, **options)
        width, norm_cfg, dilation = self.mid_channels, self.norm_cfg, self.dilation
        self.conv1: Any = ConvModule(in_channels, width, 1, bias=False, norm_cfg=norm_cfg)
        self.conv2: Any = ConvModule(
            width,
            width,
            3,
            stride=self.stride,
            padding=dilation,
            dilation=dilation,
            bias=False,
            conv_cfg={'type': ConvAudio} if factorize else None,
            act_cfg=None,
        )
        inner = 2 * width if factorize else width
        self.conv3: Any = ConvModule(inner, out_channels, 1, bias=False, norm_cfg=norm_cfg, act_cfg=None)

    @property
    def last_norm(self) -> nn.Module:
        """Normalization of the last convolution."""
        return self.conv3.norm

    def branch(self, x_nchw: Tensor) -> Tensor:
        """What is added to the input."""
        return self.conv3(self.conv2(self.conv1(x_nchw)))


@BACKBONES.register_module()
class ResNetAudio(Backbone):
    """Residual network of spectrograms, whose first stages look at time and at frequencies separately.

    "Audiovisual SlowFast Networks for Video Recognition" (Xiao et al., 2020, arXiv:2001.08740).

    State keys: ``conv1``, ``layer1`` ... ``layer4``.

    Args:
        depth: 50, 101 or 152.
        pretrained: Weights to start from.
        in_channels: Channels of the spectrogram.
        num_stages: 1 ... 4.
        base_channels: Channels of the stem, and inside the blocks of the first stage; each stage doubles them.
        strides: Stride of each stage.
        dilations: Dilation of each stage, where it is not factorized.
        conv1_kernel: Size of the stem's kernel.
        conv1_stride: Stride of the stem.
        frozen_stages: Freeze the stem (0) and so many stages; -1 freezes nothing.
        factorize: Whether stages look at time and frequencies separately: 0 or 1, one for each stage, or for a stage
            one for each of its blocks.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the stem's activation.
        zero_init_residual: Start with blocks that pass on their input: the last normalization of each is zero.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The depth is unknown, or numbers do not fit ``num_stages``.
    """

    arch_settings: ClassVar[dict[int, tuple[int, ...]]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        depth: int,
        pretrained: str | None = None,
        in_channels: int = 1,
        num_stages: int = 4,
        base_channels: int = 32,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        conv1_kernel: Pair = 9,
        conv1_stride: int = 1,
        frozen_stages: int = -1,
        factorize: int | Sequence[int | Sequence[int]] = (1, 1, 0, 0),
        norm_eval: bool = False,
        with_cp: bool = False,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        zero_init_residual: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        factors = (factorize,) * num_stages if isinstance(factorize, int) else factorize
        self._check(depth, num_stages, strides, dilations, factors)
        self.depth, self.frozen_stages, self.norm_eval = depth, frozen_stages, norm_eval
        self.with_cp, self.norm_cfg, self.zero_init_residual = with_cp, norm_cfg, zero_init_residual
        self.conv1 = ConvModule(
            in_channels,
            base_channels,
            conv1_kernel,
            stride=conv1_stride,
            bias=False,
            conv_cfg={'type': ConvAudio, 'op': 'sum'},
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.res_layers: list[str] = []
        channels, stride = base_channels, conv1_stride
        for i, num_blocks in enumerate(self.arch_settings[depth][:num_stages]):
            out_channels = base_channels * 2**i * AudioBottleneck.default_expansion
            stage = self._make_stage(num_blocks, channels, out_channels, strides[i], dilations[i], factors[i])
            self.res_layers.append(f'layer{i + 1}')
            self.add_module(self.res_layers[-1], stage)
            channels, stride = out_channels, stride * strides[i]
        self.feat_dim = channels
        self.out_channels, self.strides = (channels,), (stride,)
        self._freeze_stages()

    @classmethod
    def _check(cls, depth: int, num_stages: int, *by_stage: Sequence[Any]) -> None:
        if depth not in cls.arch_settings:
            raise ValueError(f'ResNetAudio: depth must be one of {", ".join(map(str, cls.arch_settings))}, not {depth}')
        if not 1 <= num_stages <= 4:
            raise ValueError(f'ResNetAudio: num_stages={num_stages} must lie in 1 ... 4')
        if any(len(numbers) < num_stages for numbers in by_stage):
            raise ValueError(
                f'ResNetAudio: num_stages={num_stages}, but strides, dilations and factorize are {by_stage}'
            )

    def _make_stage(
        self, num_blocks: int, in_channels: int, out_channels: int, stride: int, dilation: int, factorize: Any
    ) -> nn.Sequential:
        """Blocks, of which the first has the stride."""
        factors = (factorize,) * num_blocks if isinstance(factorize, int) else tuple(factorize)
        if len(factors) != num_blocks:
            raise ValueError(f'ResNetAudio: factorize={factorize} for a stage of {num_blocks} blocks')
        downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            downsample = ConvModule(
                in_channels, out_channels, 1, stride=stride, bias=False, norm_cfg=self.norm_cfg, act_cfg=None
            )
        options: dict[str, Any] = {'dilation': dilation, 'norm_cfg': self.norm_cfg, 'with_cp': self.with_cp}
        first = {'stride': stride, 'downsample': downsample}
        return nn.Sequential(
            *[
                AudioBottleneck(
                    out_channels if i else in_channels,
                    out_channels,
                    factorize=factor == 1,
                    **options,
                    **({} if i else first),
                )
                for i, factor in enumerate(factors)
            ]
        )

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The stem and the first ``frozen_stages`` stages."""
        if self.frozen_stages < 0:
            return []
        return [self.conv1, *[getattr(self, name) for name in self.res_layers[: self.frozen_stages]]]

    def init_own_weights(self) -> None:
        """Zero the last normalization of every block, if ``zero_init_residual``."""
        if self.zero_init_residual:
            for module in self.modules():
                if isinstance(module, AudioBottleneck):
                    constant_init(module.last_norm, 0)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Spectrograms ``(N, in_channels, S, F)`` to the map of the last stage."""
        x_ncsf = self.conv1(x)
        for name in self.res_layers:
            x_ncsf = getattr(self, name)(x_ncsf)
        return (x_ncsf,)
