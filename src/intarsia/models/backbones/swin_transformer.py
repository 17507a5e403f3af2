"""Swin transformer.

Shape suffixes: n samples, l tokens, c channels, h rows of tokens, w columns of tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.swin_block import EMPTY, LN, SwinBlockSequence
from intarsia.nn.attention import WindowMSA
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import (
    PatchEmbed,
    fit_pos_embed,
    resize_pos_embed,
    resize_relative_position_bias_table,
)
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair

ARCH_KEYS = ('embed_dims', 'depths', 'num_heads')


def _arch(embed_dims: int, depths: Sequence[int], num_heads: Sequence[int]) -> dict[str, Any]:
    return dict(zip(ARCH_KEYS, (embed_dims, depths, num_heads), strict=True))


@BACKBONES.register_module()
class SwinTransformer(Backbone):
    """Transformer with attention within shifted windows, at four resolutions.

    "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (Liu et al., 2021, arXiv:2103.14030).

    State keys: ``patch_embed``, ``stages``, ``norm{i}`` for every output i.

    Args:
        arch: Name of an architecture, or a dict with ``embed_dims``, and ``depths`` and ``num_heads`` of the stages.
        img_size: Usual size of the image in pixels, (height, width).
        patch_size: Size of a patch in pixels.
        in_channels: Channels of the image.
        window_size: Side of a window, in tokens.
        drop_rate: Dropout of the embedded patches.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        out_indices: Stages to output, from 0.
        out_after_downsample: Output the map after the downsampling that follows a stage.
        use_abs_pos_embed: Add position embeddings to the patches.
        interpolate_mode: How position embeddings are interpolated for other sizes of image.
        with_cp: Compute activations again in the backward pass, to save memory.
        frozen_stages: Freeze the embedding and the stages up to this one, from 0; -1 freezes nothing.
        norm_eval: Keep batch norms in evaluation mode during training.
        pad_small_map: Pad maps smaller than a window; otherwise they are an error.
        norm_cfg: Config of the normalization of outputs; None means none.
        stage_cfgs: Further arguments of :class:`SwinBlockSequence`: one dict, or one for each stage.
        patch_cfg: Further arguments of :class:`~intarsia.nn.embed.PatchEmbed`.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Any]]] = {
        **dict.fromkeys(('t', 'tiny'), _arch(96, (2, 2, 6, 2), (3, 6, 12, 24))),
        **dict.fromkeys(('s', 'small'), _arch(96, (2, 2, 18, 2), (3, 6, 12, 24))),
        **dict.fromkeys(('b', 'base'), _arch(128, (2, 2, 18, 2), (4, 8, 16, 32))),
        **dict.fromkeys(('l', 'large'), _arch(192, (2, 2, 18, 2), (6, 12, 24, 48))),
    }

    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            't': (96, 192, 384, 768), 'tiny': (96, 192, 384, 768),
            's': (96, 192, 384, 768), 'small': (96, 192, 384, 768),
            'b': (128, 256, 512, 1024), 'base': (128, 256, 512, 1024),
            'l': (192, 384, 768, 1536), 'large': (192, 384, 768, 1536),
        }
    }  # fmt: skip
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('out_after_downsample',)

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tiny',
        img_size: Pair = 224,
        patch_size: Pair = 4,
        in_channels: int = 3,
        window_size: int = 7,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        out_indices: Sequence[int] = (3,),
        out_after_downsample: bool = False,
        use_abs_pos_embed: bool = False,
        interpolate_mode: str = 'bicubic',
        with_cp: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        pad_small_map: bool = False,
        norm_cfg: Mapping[str, Any] | None = LN,
        stage_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        patch_cfg: Mapping[str, Any] = EMPTY,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        self.embed_dims = settings['embed_dims']
        self.depths, self.num_heads = tuple(settings['depths']), tuple(settings['num_heads'])
        self.out_indices = normalize_indices(out_indices, len(self.depths), 'SwinTransformer')
        self.out_after_downsample, self.interpolate_mode = out_after_downsample, interpolate_mode
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval

        defaults = {'kernel_size': patch_size, 'stride': patch_size, 'norm_cfg': LN}
        self.patch_embed = PatchEmbed(
            in_channels, self.embed_dims, input_size=as_pair(img_size), **{**defaults, **patch_cfg}
        )
        self.patch_resolution = self.patch_embed.out_size(as_pair(img_size))
        num_patches = self.patch_resolution[0] * self.patch_resolution[1]
        position = nn.Parameter(torch.zeros(1, num_patches, self.embed_dims)) if use_abs_pos_embed else None
        self.absolute_pos_embed = position
        self.drop_after_pos = nn.Dropout(drop_rate)
        shared = {'window_size': window_size, 'with_cp': with_cp, 'pad_small_map': pad_small_map}
        own = [stage_cfgs] * len(self.depths) if isinstance(stage_cfgs, Mapping) else stage_cfgs
        self._make_stages(decay_rule(drop_path_rate, sum(self.depths)), [{**shared, **cfg} for cfg in own])
        self._declare_outputs(as_pair(patch_size)[0], norm_cfg)
        self.register_load_state_dict_pre_hook(_upgrade_loaded)
        self._freeze_stages()

    def _make_stages(self, rates: Sequence[float], options: Sequence[Mapping[str, Any]]) -> None:
        stages: list[SwinBlockSequence] = []
        channels, first, last = self.embed_dims, 0, len(self.depths) - 1
        for i, (depth, num_heads) in enumerate(zip(self.depths, self.num_heads, strict=True)):
            arguments = {'downsample': i < last, 'drop_paths': rates[first : first + depth], **options[i]}
            stage = SwinBlockSequence(channels, depth, num_heads, **arguments)
            stages.append(stage)
            channels, first = stage.out_channels, first + depth
        self.stages = ModuleList(stages)

    def _declare_outputs(self, stride: int, norm_cfg: Mapping[str, Any] | None) -> None:
        """Declare channels and strides of all stages' outputs, and normalize those that are wanted."""
        channels, strides, inside = [], [], self.embed_dims
        for stage in self._stages():
            after = stride * stage.downsample_stride
            channels.append(stage.out_channels if self.out_after_downsample else inside)
            strides.append(after if self.out_after_downsample else stride)
            inside, stride = stage.out_channels, after
        self.num_features = channels
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)
        for i, num in zip(self.out_indices, self.out_channels, strict=True):
            norm = nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, num)[1]
            self.add_module(f'norm{i}', norm)

    def _stages(self) -> Iterable[SwinBlockSequence]:
        return cast('Iterable[SwinBlockSequence]', self.stages)

    def init_own_weights(self) -> None:
        """Truncated normal position embeddings."""
        if self.absolute_pos_embed is not None:
            trunc_normal_(self.absolute_pos_embed, std=0.02)

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The embedding, the stages up to ``frozen_stages``, and the normalizations of their outputs."""
        if self.frozen_stages < 0:
            return []
        norms = [getattr(self, f'norm{i}') for i in self.out_indices if i <= self.frozen_stages]
        return [self.patch_embed, *self.stages[: self.frozen_stages + 1], *norms]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        tokens_nlc, grid = self.patch_embed(x)
        if self.absolute_pos_embed is not None:
            tokens_nlc = tokens_nlc + resize_pos_embed(
                self.absolute_pos_embed, self.patch_resolution, grid, self.interpolate_mode, num_extra_tokens=0
            )
        tokens_nlc = self.drop_after_pos(tokens_nlc)
        outs: list[Tensor] = []
        for i, stage in enumerate(self._stages()):
            tokens_nlc = stage(tokens_nlc, grid)
            if not self.out_after_downsample:
                self._output(i, tokens_nlc, grid, outs)
            if stage.downsample is not None:
                tokens_nlc, grid = stage.downsample(tokens_nlc, grid)
            if self.out_after_downsample:
                self._output(i, tokens_nlc, grid, outs)
        return tuple(outs)

    def _output(self, i: int, tokens_nlc: Tensor, grid: tuple[int, int], outs: list[Tensor]) -> None:
        if i in self.out_indices:
            out_nlc = getattr(self, f'norm{i}')(tokens_nlc)
            outs.append(out_nlc.transpose(1, 2).unflatten(2, grid).contiguous())

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for rates that decay from layer to layer, and the number of depths.

        The embedding has depth 0, block i of the network has i + 1, a downsampling that of the block before it.

        Args:
            param_name: Name of a parameter of the whole model.
            prefix: What the names of this backbone's parameters start with, ``'backbone.'``.
        """
        num_depths = sum(self.depths) + 2
        kind, *rest = param_name.removeprefix(prefix).split('.')
        if not param_name.startswith(prefix) or kind not in ('patch_embed', 'stages'):
            return num_depths - 1, num_depths
        if kind == 'patch_embed':
            return 0, num_depths
        stage = int(rest[0])
        if rest[1] == 'downsample':
            return sum(self.depths[: stage + 1]), num_depths
        return sum(self.depths[:stage]) + int(rest[2]) + 1, num_depths


def _upgrade_loaded(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before loading: names of earlier releases, and tables made for other sizes of image or window."""
    assert isinstance(module, SwinTransformer)
    last = f'norm{len(module.stages) - 1}.'
    for key in [key for key in state if key.startswith(prefix)]:
        if key.endswith('attn_mask'):
            del state[key]
        elif key.startswith(f'{prefix}norm.'):
            state[prefix + last + key.removeprefix(f'{prefix}norm.')] = state.pop(key)
    position = f'{prefix}absolute_pos_embed'
    if module.absolute_pos_embed is not None and position in state:
        grid = module.patch_resolution
        state[position] = fit_pos_embed(state[position], grid, 0, module.interpolate_mode)
    for name, layer in module.named_modules():
        if isinstance(layer, WindowMSA):
            _fit_loaded_bias(layer, state, f'{prefix}{name}.')


def _fit_loaded_bias(layer: WindowMSA, state: dict[str, Tensor], prefix: str) -> None:
    table, index = f'{prefix}relative_position_bias_table', f'{prefix}relative_position_index'
    if table in state and len(state[table]) != len(layer.relative_position_bias_table):
        state[table] = resize_relative_position_bias_table(state[table], 2 * layer.window_size[0] - 1)
        state[index] = layer.relative_position_index
