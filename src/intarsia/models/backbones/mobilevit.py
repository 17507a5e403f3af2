"""MobileViT.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.mobilenet_v2 import LinearBottleneck
from intarsia.models.backbones.transformer_layer import TransformerEncoderLayer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN'}
LN: Mapping[str, Any] = {'type': 'LN'}
SWISH: Mapping[str, Any] = {'type': 'Swish'}
SIDE = 2
"""Rows and columns of a patch."""


class MobileVitBlock(nn.Module):
    """Local convolutions, then a transformer over all patches, then both beside the input and mixed.

    The places of a patch do not see each other: the first places of all patches attend to each other, and so on.

    State keys: ``local_rep``, ``global_rep``, ``conv_proj``, ``conv_fusion``.

    Args:
        channels: Channels C in and out.
        transformer_dim: Channels of the tokens.
        ffn_dim: Channels inside the feed-forward networks.
        num_transformer_blocks: Number of transformer layers.
        num_heads: Number of heads.
    """

    def __init__(
        self, channels: int, transformer_dim: int, ffn_dim: int, num_transformer_blocks: int = 2, num_heads: int = 4
    ) -> None:
        super().__init__()
        cfgs: dict[str, Any] = {'norm_cfg': BN, 'act_cfg': SWISH}
        self.local_rep = nn.Sequential(
            ConvModule(channels, channels, 3, padding=1, **cfgs),
            ConvModule(channels, transformer_dim, 1, bias=False, act_cfg=None),
        )
        self.global_rep = nn.Sequential(
            *[
                TransformerEncoderLayer(transformer_dim, num_heads, ffn_dim, act_cfg=SWISH)
                for _ in range(num_transformer_blocks)
            ],
            build_norm_layer(LN, transformer_dim)[1],
        )
        self.conv_proj = ConvModule(transformer_dim, channels, 1, **cfgs)
        self.conv_fusion = ConvModule(2 * channels, channels, 3, padding=1, **cfgs)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out; a map that patches do not cover is interpolated for the transformer."""
        out_nchw = self.local_rep(x_nchw)
        size = out_nchw.shape[2:]
        rows, columns = (-(-length // SIDE) for length in size)
        fits = size == (rows * SIDE, columns * SIDE)
        if not fits:
            out_nchw = F.interpolate(out_nchw, (rows * SIDE, columns * SIDE), mode='bilinear', align_corners=False)
        # One sequence for each place of a patch, over all patches.
        grid = out_nchw.unflatten(3, (columns, SIDE)).unflatten(2, (rows, SIDE))
        tokens_nlc = self.global_rep(grid.permute(0, 3, 5, 2, 4, 1).flatten(0, 2).flatten(1, 2))
        grid = tokens_nlc.unflatten(1, (rows, columns)).unflatten(0, (-1, SIDE, SIDE))
        out_nchw = grid.permute(0, 5, 3, 1, 4, 2).flatten(4, 5).flatten(2, 3)
        if not fits:
            out_nchw = F.interpolate(out_nchw, size, mode='bilinear', align_corners=False)
        return self.conv_fusion(torch.cat((x_nchw, self.conv_proj(out_nchw)), dim=1))


@BACKBONES.register_module()
class MobileViT(Backbone):
    """Inverted residuals, and transformers among them in the last stages.

    "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer" (Mehta & Rastegari, 2021,
    arXiv:2110.02178).

    State keys: ``stem``, ``layers``, ``conv_1x1_exp``.

    Args:
        arch: ``'small'``, ``'x_small'``, ``'xx_small'``, or a list with one list for each stage:
            ``['mobilenetv2', channels, stride, blocks, expand_ratio]`` or ``['mobilevit', channels, stride,
            transformer_channels, ffn_channels, transformer_blocks, expand_ratio]``, where the last number is 4 by
            default.
        in_channels: Channels of the image.
        stem_channels: Channels of the stem.
        last_exp_factor: Channels of the last output divided by those of the last stage.
        out_indices: Stages to output, from 0; negative ones count from the end.
        frozen_stages: Freeze so many stages, but not the stem.
        conv_cfg: Config of the first and the last convolution.
        norm_cfg: Config of their normalizations.
        act_cfg: Config of their activations.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {
        'small': {'stages': (
            ('mobilenetv2', 32, 1, 1, 4), ('mobilenetv2', 64, 2, 3, 4), ('mobilevit', 96, 2, 144, 288, 2, 4),
            ('mobilevit', 128, 2, 192, 384, 4, 4), ('mobilevit', 160, 2, 240, 480, 3, 4),
        )},
        'x_small': {'stages': (
            ('mobilenetv2', 32, 1, 1, 4), ('mobilenetv2', 48, 2, 3, 4), ('mobilevit', 64, 2, 96, 192, 2, 4),
            ('mobilevit', 80, 2, 120, 240, 4, 4), ('mobilevit', 96, 2, 144, 288, 3, 4),
        )},
        'xx_small': {'stages': (
            ('mobilenetv2', 16, 1, 1, 2), ('mobilenetv2', 24, 2, 3, 2), ('mobilevit', 48, 2, 64, 128, 2, 2),
            ('mobilevit', 64, 2, 80, 160, 4, 2), ('mobilevit', 80, 2, 96, 192, 3, 2),
        )},
    }  # fmt: skip
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('last_exp_factor',)
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {'small': (32, 64, 96, 128, 640), 'x_small': (32, 48, 64, 80, 384), 'xx_small': (16, 24, 48, 64, 320)}
    }
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        arch: str | Sequence[Sequence[Any]] = 'small',
        in_channels: int = 3,
        stem_channels: int = 16,
        last_exp_factor: int = 4,
        out_indices: int | Sequence[int] = (4,),
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = SWISH,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        named = choose_arch(self, arch, self.arch_settings, ('stages',))['stages'] if isinstance(arch, str) else arch
        stages: Sequence[Sequence[Any]] = named
        self.out_indices = normalize_indices(out_indices, len(stages), 'MobileViT')
        if not -1 <= frozen_stages < len(stages):
            raise ValueError(f'MobileViT: frozen_stages={frozen_stages} must lie in -1 ... {len(stages) - 1}')
        self.frozen_stages = frozen_stages
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}

        self.stem = ConvModule(in_channels, stem_channels, 3, stride=2, padding=1, **cfgs)
        self.layers = nn.Sequential()
        widths, strides = [stem_channels], [2]
        for kind, channels, stride, *numbers in stages:
            self.layers.append(_stage(kind, widths[-1], channels, stride, *numbers))
            widths.append(channels)
            strides.append(strides[-1] * stride)
        self.conv_1x1_exp = ConvModule(widths[-1], last_exp_factor * widths[-1], 1, **cfgs)
        widths[-1] *= last_exp_factor
        self.out_channels = tuple(widths[i + 1] for i in self.out_indices)
        self.strides = tuple(strides[i + 1] for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The first ``frozen_stages`` stages."""
        return list(self.layers)[: max(self.frozen_stages, 0)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        x_nchw = self.stem(x)
        outs = []
        for i, layer in enumerate(self.layers):
            x_nchw = layer(x_nchw)
            if i == len(self.layers) - 1:
                x_nchw = self.conv_1x1_exp(x_nchw)
            if i in self.out_indices:
                outs.append(x_nchw)
        return tuple(outs)


def _stage(kind: str, in_channels: int, channels: int, stride: int, *numbers: int) -> nn.Sequential:
    """Make a stage from its row in the architecture."""
    if kind == 'mobilenetv2':
        num_blocks, ratio = numbers[0], numbers[1] if len(numbers) > 1 else 4
        before = [(in_channels, stride), *[(channels, 1)] * (num_blocks - 1)]
        return nn.Sequential(*[LinearBottleneck(width, channels, step, ratio, act_cfg=SWISH) for width, step in before])
    if kind == 'mobilevit':
        transformer_dim, ffn_dim, num_blocks = numbers[:3]
        ratio = numbers[3] if len(numbers) > 3 else 4
        return nn.Sequential(
            LinearBottleneck(in_channels, channels, stride, ratio, act_cfg=SWISH),
            MobileVitBlock(channels, transformer_dim, ffn_dim, num_blocks),
        )
    raise ValueError(f"MobileViT: a stage is of the kind 'mobilenetv2' or 'mobilevit', not {kind!r}")
