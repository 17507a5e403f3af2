"""Swin transformer of clips.

Shape suffixes: n clips, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.swin_transformer import ARCH_KEYS, SwinTransformer
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import resize_relative_position_bias_table
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.backbones.swin_block3d import SwinTransformerBlock3D, Triple

LN: Mapping[str, Any] = {'type': 'LN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class PatchEmbed3D(nn.Module):
    """One token of every patch of a clip. State keys: ``proj``, ``norm``."""

    def __init__(self, patch: Triple, in_channels: int, channels: int, norm_cfg: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv3d(in_channels, channels, patch, patch)
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, channels)[1]

    def forward(self, clip_ncthw: Tensor) -> Tensor:
        """Tokens ``(N, T, H, W, C)``; a clip that is no multiple of the patch gets zeros at its ends."""
        t, h, w = (-size % part for size, part in zip(clip_ncthw.shape[2:], self.patch, strict=True))
        x_nthwc = self.proj(F.pad(clip_ncthw, (0, w, 0, h, 0, t))).permute(0, 2, 3, 4, 1)
        return x_nthwc if self.norm is None else self.norm(x_nthwc)


class PatchMerging3D(nn.Module):
    """One token of every two by two of a frame. State keys: ``reduction``, ``norm``."""

    def __init__(self, channels: int, norm_cfg: Mapping[str, Any]) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = build_norm_layer(norm_cfg, 4 * channels)[1]

    def forward(self, x_nthwc: Tensor) -> Tensor:
        """``(N, T, H, W, C)`` to ``(N, T, H / 2, W / 2, 2 C)``."""
        x = F.pad(x_nthwc, (0, 0, 0, x_nthwc.shape[3] % 2, 0, x_nthwc.shape[2] % 2))
        four = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(four, dim=-1)))


class SwinStage3D(nn.Module):
    """Blocks with and without shift in turn, and the merging after them. State keys: ``blocks``, ``downsample``."""

    def __init__(self, channels: int, rates: Sequence[float], merges: bool, **options: Any) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinTransformerBlock3D(channels, shifted=i % 2 == 1, drop_path=rate, **options)
            for i, rate in enumerate(rates)
        )
        self.downsample = PatchMerging3D(channels, options['norm_cfg']) if merges else None

    def forward(self, x_nthwc: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens before and after the merging."""
        for block in self.blocks:
            x_nthwc = block(x_nthwc)
        return x_nthwc, x_nthwc if self.downsample is None else self.downsample(x_nthwc)


@BACKBONES.register_module()
class SwinTransformer3D(Backbone):
    """Transformer with attention within shifted windows of space and time, at four resolutions of space.

    "Video Swin Transformer" (Liu et al., 2021, arXiv:2106.13230). State keys: ``patch_embed``, ``layers``, ``norm{i}``
    for every output i.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'`` or ``'large'``, or a dict with ``embed_dims``, and ``depths`` and
            ``num_heads`` of the stages.
        pretrained: Weights to start from.
        pretrained2d: Whether ``pretrained`` is a network of images, whose weights are inflated.
        patch_size: Size of a patch, ``(t, h, w)`` or one number.
        in_channels: Channels of the clip.
        window_size: Size of a window, in tokens.
        mlp_ratio: Channels between the linear layers of a block divided by those of its tokens.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the scores; by default one over the square root of the channels of a head.
        drop_rate: Dropout of tokens.
        attn_drop_rate: Dropout of the weights of attention.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
        patch_norm: Whether the embedded patches are normalized.
        frozen_stages: Freeze the embedding (0) and so many stages; -1 freezes nothing.
        with_cp: Compute activations again in the backward pass, to save memory.
        out_indices: Stages to output, from 0.
        out_after_downsample: Output the map after the merging that follows a stage.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02, 'bias': 0.0},
        {'type': 'Constant', 'layer': 'LayerNorm', 'val': 1.0, 'bias': 0.0},
    )

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        pretrained: str | None = None,
        pretrained2d: bool = True,
        patch_size: int | Sequence[int] = (2, 4, 4),
        in_channels: int = 3,
        window_size: Sequence[int] = (8, 7, 7),
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
        patch_norm: bool = True,
        frozen_stages: int = -1,
        with_cp: bool = False,
        out_indices: Sequence[int] = (3,),
        out_after_downsample: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, SwinTransformer.arch_zoo, ARCH_KEYS)
        channels, depths, heads = (settings[key] for key in ARCH_KEYS)
        self.pretrained, self.pretrained2d = pretrained, pretrained2d
        self.frozen_stages, self.out_after_downsample = frozen_stages, out_after_downsample
        self.out_indices = normalize_indices(out_indices, len(depths), 'SwinTransformer3D')
        patch: Any = (patch_size,) * 3 if isinstance(patch_size, int) else tuple(patch_size)
        self.window_size = tuple(window_size)
        self.patch_embed = PatchEmbed3D(patch, in_channels, channels, norm_cfg if patch_norm else None)
        self.pos_drop = nn.Dropout(drop_rate)
        options: dict[str, Any] = {
            'window_size': self.window_size, 'mlp_ratio': mlp_ratio, 'qkv_bias': qkv_bias, 'qk_scale': qk_scale,
            'drop': drop_rate, 'attn_drop': attn_drop_rate, 'act_cfg': act_cfg, 'norm_cfg': norm_cfg,
            'with_cp': with_cp,
        }  # fmt: skip
        rates, last = iter(decay_rule(drop_path_rate, sum(depths))), len(depths) - 1
        self.layers = nn.ModuleList(
            SwinStage3D(channels * 2**i, [next(rates) for _ in range(depth)], i < last, num_heads=heads[i], **options)
            for i, depth in enumerate(depths)
        )
        levels = [min(i + 1, last) if out_after_downsample else i for i in self.out_indices]
        self.out_channels = tuple(channels * 2**level for level in levels)
        self.strides = tuple(patch[1] * 2**level for level in levels)
        for i, num in zip(self.out_indices, self.out_channels, strict=True):
            self.add_module(f'norm{i}', build_norm_layer(norm_cfg, num)[1])
        self._freeze_stages()

    def init_weights(self) -> None:
        """From ``pretrained``, inflated if it is of images; else as ``init_cfg`` says."""
        super().init_weights()
        if self.pretrained is not None:
            state = read_state_dict(find_weights(self.pretrained))
            load_state_dict(self, self.inflated(state) if self.pretrained2d else state, strict=False)

    def inflated(self, state_2d: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a Swin transformer of images, with the names of its first release, for this network."""
        state = {key: each for key, each in state_2d.items() if not key.endswith(('position_index', 'attn_mask'))}
        kernel, (frames, side, _) = state['patch_embed.proj.weight'], self.window_size
        length = self.patch_embed.patch[0]
        state['patch_embed.proj.weight'] = kernel.unsqueeze(2).repeat(1, 1, length, 1, 1) / length
        for key in [key for key in state if key.endswith('relative_position_bias_table')]:
            table = resize_relative_position_bias_table(state[key], 2 * side - 1)
            state[key] = table.repeat(2 * frames - 1, 1)
        for kind in ('weight', 'bias'):
            if f'norm.{kind}' in state:
                state[f'norm{len(self.layers) - 1}.{kind}'] = state.pop(f'norm.{kind}')
        return state

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The embedding and the first stages."""
        if self.frozen_stages >= 0:
            yield self.patch_embed
            yield from self.layers[: self.frozen_stages]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features ``(N, C', T', H', W')`` of clips ``(N, C, T, H, W)``, one for each of ``out_indices``."""
        x_nthwc = self.pos_drop(self.patch_embed(x))
        outputs = []
        for i, layer in enumerate(self.layers):
            before, x_nthwc = layer(x_nthwc)
            if i in self.out_indices:
                out = getattr(self, f'norm{i}')(x_nthwc if self.out_after_downsample else before)
                outputs.append(out.permute(0, 4, 1, 2, 3).contiguous())
        return tuple(outputs)
