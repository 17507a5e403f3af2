"""X3D: a network of clips, grown from a tiny one axis by axis.

Shape suffixes: n clips, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, init_from
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.channels import make_divisible
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.init import constant_init
from intarsia.nn.module import InitCfg

CONV: Mapping[str, Any] = {'type': 'Conv3d'}
BN: Mapping[str, Any] = {'type': 'BN3d', 'requires_grad': True}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}

BASE_CHANNELS = 24
STAGE_BLOCKS = (1, 2, 5, 3)
"""The network that ``gamma_w`` and ``gamma_d`` make larger."""


@dataclass(frozen=True)
class X3DOptions:
    """What all convolutions of a network have in common.

    Attributes:
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    conv_cfg: Mapping[str, Any] | None
    norm_cfg: Mapping[str, Any] | None
    act_cfg: Mapping[str, Any]
    with_cp: bool

    def conv(self, in_channels: int, out_channels: int, kernel: Any, act: bool = True, **more: Any) -> ConvModule:
        """A convolution without a bias, its normalization, and perhaps its activation."""
        cfgs: dict[str, Any] = {'conv_cfg': self.conv_cfg, 'norm_cfg': self.norm_cfg}
        act_cfg = self.act_cfg if act else None
        return ConvModule(in_channels, out_channels, kernel, bias=False, **{**cfgs, 'act_cfg': act_cfg, **more})


class ClipSqueezeExcite(nn.Module):
    """Scale every channel of a clip by a factor that depends on the means of all. State keys: ``fc1``, ``fc2``."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        squeezed = make_divisible(channels * ratio, 8)
        self.fc1, self.fc2 = nn.Conv3d(channels, squeezed, 1), nn.Conv3d(squeezed, channels, 1)

    def forward(self, x_ncthw: Tensor) -> Tensor:
        """Clips in and out."""
        mean_nc111 = x_ncthw.mean(dim=(2, 3, 4), keepdim=True)
        return x_ncthw * self.fc2(self.fc1(mean_nc111).relu()).sigmoid()


class BlockX3D(nn.Module):
    """To more channels, a depthwise convolution of space and time, and back; added to the input.

    State keys: ``conv1``, ``conv2``, ``se_module``, ``conv3``, ``downsample``.

    Args:
        in_channels: Channels of the input.
        channels: Channels inside.
        out_channels: Channels of the output.
        options: What all blocks share.
        stride: Stride in space.
        se_ratio: Channels inside the squeeze and excitation divided by those of the block; None for none.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int,
        options: X3DOptions,
        stride: int = 1,
        se_ratio: float | None = None,
    ) -> None:
        super().__init__()
        self.with_cp, strides = options.with_cp, (1, stride, stride)
        self.conv1 = options.conv(in_channels, channels, 1)
        self.conv2 = options.conv(channels, channels, 3, False, stride=strides, padding=1, groups=channels)
        self.se_module = None if se_ratio is None else ClipSqueezeExcite(channels, se_ratio)
        self.swish = nn.SiLU()
        self.conv3 = options.conv(channels, out_channels, 1, False)
        fits = stride == 1 and in_channels == out_channels
        self.downsample = None if fits else options.conv(in_channels, out_channels, 1, False, stride=strides)
        self.relu = build_activation_layer(options.act_cfg)

    def _added(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x))
        out = out if self.se_module is None else self.se_module(out)
        return self.conv3(self.swish(out)) + (x if self.downsample is None else self.downsample(x))

    def forward(self, x_ncthw: Tensor) -> Tensor:
        """Clips in and out."""
        uses_cp = self.with_cp and x_ncthw.requires_grad
        return self.relu(checkpoint(self._added, x_ncthw, use_reentrant=False) if uses_cp else self._added(x_ncthw))


@BACKBONES.register_module()
class X3D(Backbone):
    """Network of clips that keeps all frames and has few, wide bottlenecks.

    "X3D: Expanding Architectures for Efficient Video Recognition" (Feichtenhofer, 2020, arXiv:2004.04730). State keys:
    ``conv1_s``, ``conv1_t``, ``layer1`` ... ``layer4``, ``conv5``.

    Args:
        gamma_w: Factor of the channels, 24 in the stem.
        gamma_b: Channels inside a block divided by those of its output.
        gamma_d: Factor of the blocks, 1, 2, 5 and 3 in the stages.
        pretrained: Weights to start from.
        in_channels: Channels of the clip.
        num_stages: 1 ... 4.
        spatial_strides: Stride in space of each stage.
        frozen_stages: Freeze the stem (0) and so many stages; -1 freezes nothing.
        se_style: Which blocks squeeze and excite: ``'half'`` of them, from the first on, or ``'all'``.
        se_ratio: Channels inside the squeeze and excitation divided by those of the block; None for none at all.
        use_swish: Of no effect: published weights were all trained with swish after the depthwise convolutions.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        zero_init_residual: Let every block start as the identity.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Numbers do not fit ``num_stages``, or ``se_style`` is unknown.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv3d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm']},
    )

    def __init__(
        self,
        gamma_w: float = 1.0,
        gamma_b: float = 1.0,
        gamma_d: float = 1.0,
        pretrained: str | None = None,
        in_channels: int = 3,
        num_stages: int = 4,
        spatial_strides: Sequence[int] = (2, 2, 2, 2),
        frozen_stages: int = -1,
        se_style: Literal['half', 'all'] = 'half',
        se_ratio: float | None = 1 / 16,
        use_swish: bool = True,
        conv_cfg: Mapping[str, Any] | None = CONV,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        if not 1 <= num_stages <= 4 or len(spatial_strides) != num_stages:
            raise ValueError(f'X3D: num_stages={num_stages} (1 ... 4), but spatial_strides={spatial_strides}')
        if se_style not in ('half', 'all'):
            raise ValueError(f"X3D: se_style is 'half' or 'all', not {se_style!r}")
        self.frozen_stages, self.norm_eval, self.zero_init_residual = frozen_stages, norm_eval, zero_init_residual
        base = make_divisible(BASE_CHANNELS * gamma_w, 8) if gamma_w else BASE_CHANNELS
        options = X3DOptions(conv_cfg, norm_cfg, act_cfg, with_cp)
        alone: dict[str, Any] = {'norm_cfg': None}
        self.conv1_s = options.conv(in_channels, base, (1, 3, 3), False, stride=(1, 2, 2), padding=(0, 1, 1), **alone)
        self.conv1_t = options.conv(base, base, (5, 1, 1), padding=(2, 0, 0), groups=base)
        self.res_layers: list[str] = []
        channels, every = base, 1 if se_style == 'all' else 2
        for i, (blocks, stride) in enumerate(zip(STAGE_BLOCKS, spatial_strides, strict=False)):
            width, depth = base * 2**i, math.ceil(blocks * gamma_d) if gamma_d else blocks
            ratios = [se_ratio if j % every == 0 else None for j in range(depth)]
            inner = int(width * gamma_b)
            layer = [BlockX3D(channels, inner, width, options, stride, ratios[0])]
            layer += [BlockX3D(width, inner, width, options, 1, ratio) for ratio in ratios[1:]]
            self.res_layers.append(f'layer{i + 1}')
            self.add_module(self.res_layers[-1], nn.Sequential(*layer))
            channels = width
        self.feat_dim = int(channels * gamma_b)
        self.conv5 = options.conv(channels, self.feat_dim, 1)
        self.out_channels, self.strides = (self.feat_dim,), (2 * math.prod(spatial_strides),)
        self._freeze_stages()

    def init_own_weights(self) -> None:
        """Blocks that start as the identity, if ``zero_init_residual`` says so."""
        for block in self.modules() if self.zero_init_residual else ():
            if isinstance(block, BlockX3D) and block.conv3.norm is not None:
                constant_init(block.conv3.norm, 0)

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The stem and the first stages."""
        if self.frozen_stages >= 0:
            yield from (self.conv1_s, self.conv1_t)
        for name in self.res_layers[: max(self.frozen_stages, 0)]:
            yield getattr(self, name)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features ``(N, C', T, H', W')`` of clips ``(N, C, T, H, W)``."""
        x = self.conv1_t(self.conv1_s(x))
        for name in self.res_layers:
            x = getattr(self, name)(x)
        return (self.conv5(x),)
