"""Twins, in the words of classification.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.mit import init_transformer_weights, to_map
from intarsia.models.backbones.twins_layer import (
    LN,
    ConditionalPositionEncoding,
    GlobalSubsampledAttention,
    LocallyGroupedSelfAttention,
    TwinsEncoderLayer,
)
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import PatchEmbed
from intarsia.nn.module import InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer

PCPVT_KEYS = ('embed_dims', 'depths', 'num_heads', 'patch_sizes', 'strides', 'mlp_ratios', 'sr_ratios')
STAGE_CHANNELS = (64, 128, 320, 512)


@dataclass(frozen=True)
class TwinsOptions:
    """What all layers of a network have in common."""

    qkv_bias: bool
    """Whether queries, keys and values have a bias."""
    drop_rate: float
    """Dropout of patches and after linear layers."""
    attn_drop_rate: float
    """Dropout of the attention weights."""
    norm_cfg: Mapping[str, Any]
    """Config of the normalizations."""


class TwinsPyramid(Backbone):
    """What the networks of Twins have in common: stages of patches and layers, positions after each first layer.

    State keys: ``patch_embeds``, ``position_encodings``, and the layers as ``layers_name`` says.
    """

    layers_name: ClassVar[str] = 'stages'
    """Attribute of the layers of all stages."""

    def _build(
        self,
        arch: Mapping[str, Sequence[int]],
        in_channels: int,
        out_indices: Sequence[int],
        drop_path_rate: float,
        patch_norm_cfg: Mapping[str, Any],
        options: TwinsOptions,
    ) -> None:
        """Build patches, positions and layers.

        Args:
            arch: The numbers of every stage.
            in_channels: Channels of the image.
            out_indices: Stages to output, from 0.
            drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
            patch_norm_cfg: Config of the normalization of patches.
            options: What all layers have in common.
        """
        self.arch, self.options, channels = arch, options, arch['embed_dims']
        self.out_indices = normalize_indices(out_indices, len(arch['depths']), type(self).__name__)
        rates = iter(decay_rule(drop_path_rate, sum(arch['depths'])))
        self.patch_embeds, self.position_encodings = ModuleList(), ModuleList()
        self.drop_after_patches = nn.Dropout(options.drop_rate)
        stages = ModuleList()
        for i, depth in enumerate(arch['depths']):
            patches = PatchEmbed(
                channels[i - 1] if i else in_channels, channels[i], kernel_size=arch['patch_sizes'][i],
                stride=arch['strides'][i], norm_cfg=patch_norm_cfg,
            )  # fmt: skip
            self.patch_embeds.append(patches)
            self.position_encodings.append(ConditionalPositionEncoding(channels[i]))
            stages.append(ModuleList(self._layer(i, j, next(rates)) for j in range(depth)))
        self.add_module(self.layers_name, stages)
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.strides = tuple(math.prod(arch['strides'][: i + 1]) for i in self.out_indices)

    def _layer(self, stage: int, index: int, drop_path_rate: float) -> nn.Module:
        """Layer ``index`` of a stage."""
        raise NotImplementedError(f'{type(self).__name__} has no _layer')

    def _norm(self, stage: int) -> nn.Module | None:
        """What normalizes the tokens after a stage."""
        raise NotImplementedError(f'{type(self).__name__} has no _norm')

    def _around(
        self, attn: nn.Module, stage: int, drop_path_rate: float, kind: type[TwinsEncoderLayer] = TwinsEncoderLayer
    ) -> TwinsEncoderLayer:
        """A layer with this attention."""
        channels, options = self.arch['embed_dims'][stage], self.options
        inside = self.arch['mlp_ratios'][stage] * channels
        return kind(attn, channels, inside, options.drop_rate, drop_path_rate, options.norm_cfg)

    def _local_attention(self, stage: int, window_size: int) -> nn.Module:
        arch, options = self.arch, self.options
        return LocallyGroupedSelfAttention(
            arch['embed_dims'][stage], arch['num_heads'][stage], window_size, options.qkv_bias,
            options.attn_drop_rate, options.drop_rate,
        )  # fmt: skip

    def init_own_weights(self) -> None:
        """Truncated normal linear layers, convolutions that keep the variance backward; only without ``init_cfg``."""
        if self.init_cfg is None:
            init_transformer_weights(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        outs = []
        stages = zip(self.patch_embeds, self.position_encodings, getattr(self, self.layers_name), strict=True)
        for i, (patches, positions, layers) in enumerate(stages):
            tokens_nlc, hw_shape = patches(x)
            tokens_nlc = self.drop_after_patches(tokens_nlc)
            for j, layer in enumerate(layers):
                tokens_nlc = layer(tokens_nlc, hw_shape)
                if j == 0:
                    tokens_nlc = positions(tokens_nlc, hw_shape)
            norm = self._norm(i)
            x = to_map(tokens_nlc if norm is None else norm(tokens_nlc), hw_shape)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


def _pcpvt(*depths: int) -> dict[str, Any]:
    numbers = (STAGE_CHANNELS, depths, (1, 2, 5, 8), (4, 2, 2, 2), (4, 2, 2, 2), (8, 8, 4, 4), (8, 4, 2, 1))
    return dict(zip(PCPVT_KEYS, numbers, strict=True))


def _svt(width: int, heads: int, depths: Sequence[int]) -> dict[str, Any]:
    widths, num_heads = tuple(width * 2**i for i in range(4)), tuple(heads * 2**i for i in range(4))
    numbers = (widths, depths, num_heads, (4, 2, 2, 2), (4, 2, 2, 2), (4, 4, 4, 4), (8, 4, 2, 1))
    return dict(zip(PCPVT_KEYS, numbers, strict=True)) | {'window_sizes': (7, 7, 7, 7)}


@BACKBONES.register_module()
class PCPVT(TwinsPyramid):
    """Twins-PCPVT: a pyramid vision transformer whose positions are conditional.

    "Twins: Revisiting the Design of Spatial Attention in Vision Transformers" (Chu et al., 2021, arXiv:2104.13840).

    State keys: ``patch_embeds``, ``position_encodings``, ``stages``, ``norm_after_stage{i}``.

    Args:
        arch: Name of an architecture, or a dict with ``embed_dims``, ``depths``, ``num_heads``, ``patch_sizes``,
            ``strides``, ``mlp_ratios`` and ``sr_ratios`` of the stages.
        in_channels: Channels of the image.
        out_indices: Stages to output, from 0.
        qkv_bias: Whether queries, keys and values have a bias.
        drop_rate: Dropout of patches and after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        norm_cfg: Config of the normalizations.
        norm_after_stage: Normalize the tokens after every stage, or after those for which the list says so.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or a list has not one number for each stage.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Any]]] = {
        **dict.fromkeys(('s', 'small'), _pcpvt(3, 4, 6, 3)),
        **dict.fromkeys(('b', 'base'), _pcpvt(3, 4, 18, 3)),
        **dict.fromkeys(('l', 'large'), _pcpvt(3, 8, 27, 3)),
    }
    essential_keys: ClassVar[Sequence[str]] = PCPVT_KEYS
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            's': (64, 128, 320, 512), 'small': (64, 128, 320, 512), 'b': (64, 128, 320, 512),
            'base': (64, 128, 320, 512), 'l': (64, 128, 320, 512), 'large': (64, 128, 320, 512),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]],
        in_channels: int = 3,
        out_indices: Sequence[int] = (3,),
        qkv_bias: bool = False,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN,
        norm_after_stage: bool | Sequence[bool] = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, self.essential_keys)
        num_stages = len(settings['depths'])
        wanted = [norm_after_stage] * num_stages if isinstance(norm_after_stage, bool) else norm_after_stage
        per_stage = {key: settings[key] for key in self.essential_keys} | {'norm_after_stage': wanted}
        for key, values in per_stage.items():
            if len(values) != num_stages:
                raise ValueError(f'{type(self).__name__} has {num_stages} stages, but {key}={values!r}')
        options = TwinsOptions(qkv_bias, drop_rate, attn_drop_rate, norm_cfg)
        self._build(settings, in_channels, out_indices, drop_path_rate, LN, options)
        for i, (channels, has_norm) in enumerate(zip(settings['embed_dims'], wanted, strict=True)):
            norm = build_norm_layer(norm_cfg, channels)[1] if has_norm else nn.Identity()
            self.add_module(f'norm_after_stage{i}', norm)

    def _layer(self, stage: int, index: int, drop_path_rate: float) -> nn.Module:
        arch, options = self.arch, self.options
        attn = GlobalSubsampledAttention(
            arch['embed_dims'][stage], arch['num_heads'][stage], arch['sr_ratios'][stage], options.qkv_bias,
            options.attn_drop_rate, options.drop_rate, options.norm_cfg,
        )  # fmt: skip
        return self._around(attn, stage, drop_path_rate)

    def _norm(self, stage: int) -> nn.Module | None:
        return getattr(self, f'norm_after_stage{stage}')


@BACKBONES.register_module()
class SVT(PCPVT):
    """Twins-SVT: layers attend within windows and to a coarser map in turn.

    "Twins: Revisiting the Design of Spatial Attention in Vision Transformers" (Chu et al., 2021, arXiv:2104.13840).

    Args:
        arch: Name of an architecture, or a dict with what :class:`PCPVT` needs and ``window_sizes`` of the stages.
        **kwargs: Further arguments of :class:`PCPVT`.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Any]]] = {
        **dict.fromkeys(('s', 'small'), _svt(64, 2, (2, 2, 10, 4))),
        **dict.fromkeys(('b', 'base'), _svt(96, 3, (2, 2, 18, 2))),
        **dict.fromkeys(('l', 'large'), _svt(128, 4, (2, 2, 18, 2))),
    }
    essential_keys: ClassVar[Sequence[str]] = (*PCPVT_KEYS, 'window_sizes')
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            's': (64, 128, 256, 512), 'small': (64, 128, 256, 512), 'b': (96, 192, 384, 768),
            'base': (96, 192, 384, 768), 'l': (128, 256, 512, 1024), 'large': (128, 256, 512, 1024),
        }
    }  # fmt: skip

    def __init__(self, arch: str | Mapping[str, Sequence[int]], **kwargs: Any) -> None:
        super().__init__(arch, **kwargs)

    def _layer(self, stage: int, index: int, drop_path_rate: float) -> nn.Module:
        if index % 2:
            return super()._layer(stage, index, drop_path_rate)
        attn = self._local_attention(stage, self.arch['window_sizes'][stage])
        return self._around(attn, stage, drop_path_rate)
