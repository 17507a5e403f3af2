"""Swin transformer, version 2.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.mit import to_map
from intarsia.models.backbones.swin_block import EMPTY, LN
from intarsia.models.backbones.swin_v2_block import SwinBlockV2Sequence
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import PatchEmbed, fit_pos_embed, resize_pos_embed
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair

ARCH_KEYS = ('embed_dims', 'depths', 'num_heads', 'extra_norm_every_n_blocks')
TABLES = ('relative_position_index', 'relative_coords_table')


def _arch(embed_dims: int, depths: Sequence[int], heads: int, extra_norm: int = 0) -> dict[str, Any]:
    return dict(zip(ARCH_KEYS, (embed_dims, depths, tuple(heads * 2**i for i in range(4)), extra_norm), strict=True))


@BACKBONES.register_module()
class SwinTransformerV2(Backbone):
    """Transformer with attention by cosines within shifted windows, at four resolutions.

    "Swin Transformer V2: Scaling Up Capacity and Resolution" (Liu et al., 2021, arXiv:2111.09883).

    State keys: ``patch_embed``, ``stages``, ``norm{i}`` for every output i.

    Args:
        arch: Name of an architecture, or a dict with ``embed_dims``, ``depths`` and ``num_heads`` of the stages, and
            ``extra_norm_every_n_blocks``.
        img_size: Usual size of the image in pixels, (height, width).
        patch_size: Size of a patch in pixels.
        in_channels: Channels of the image.
        window_size: Side of a window, in tokens; one number, or one for each stage.
        drop_rate: Dropout of the embedded patches.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        out_indices: Stages to output, from 0.
        use_abs_pos_embed: Add position embeddings to the patches.
        interpolate_mode: How position embeddings are interpolated for other sizes of image.
        with_cp: Compute activations again in the backward pass, to save memory.
        frozen_stages: Freeze the embedding and the stages up to this one, from 0; -1 freezes nothing.
        norm_eval: Keep batch norms in evaluation mode during training.
        pad_small_map: Pad maps smaller than a window; otherwise they are an error.
        norm_cfg: Config of the normalization of outputs; None means none.
        stage_cfgs: Further arguments of :class:`~intarsia.models.backbones.swin_v2_block.SwinBlockV2Sequence`: one
            dict, or one for each stage.
        patch_cfg: Further arguments of :class:`~intarsia.nn.embed.PatchEmbed`.
        pretrained_window_sizes: Sides of the windows the weights were trained with, for each stage; 0 means these here.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, an index lies outside of the stages, or ``window_size``
            has not one number for each stage.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Any]]] = {
        **dict.fromkeys(('t', 'tiny'), _arch(96, (2, 2, 6, 2), 3)),
        **dict.fromkeys(('s', 'small'), _arch(96, (2, 2, 18, 2), 3)),
        **dict.fromkeys(('b', 'base'), _arch(128, (2, 2, 18, 2), 4)),
        **dict.fromkeys(('l', 'large'), _arch(192, (2, 2, 18, 2), 6)),
        **dict.fromkeys(('h', 'huge'), _arch(352, (2, 2, 18, 2), 8, 6)),
        **dict.fromkeys(('g', 'giant'), _arch(512, (2, 2, 42, 4), 16, 6)),
    }
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            't': (96, 192, 384, 768), 'tiny': (96, 192, 384, 768),
            's': (96, 192, 384, 768), 'small': (96, 192, 384, 768),
            'b': (128, 256, 512, 1024), 'base': (128, 256, 512, 1024),
            'l': (192, 384, 768, 1536), 'large': (192, 384, 768, 1536),
            'h': (352, 704, 1408, 2816), 'huge': (352, 704, 1408, 2816),
            'g': (512, 1024, 2048, 4096), 'giant': (512, 1024, 2048, 4096),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tiny',
        img_size: Pair = 256,
        patch_size: Pair = 4,
        in_channels: int = 3,
        window_size: int | Sequence[int] = 8,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        out_indices: Sequence[int] = (3,),
        use_abs_pos_embed: bool = False,
        interpolate_mode: str = 'bicubic',
        with_cp: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        pad_small_map: bool = False,
        norm_cfg: Mapping[str, Any] | None = LN,
        stage_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        patch_cfg: Mapping[str, Any] = EMPTY,
        pretrained_window_sizes: Sequence[int] = (0, 0, 0, 0),
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        self.embed_dims, num_stages = settings['embed_dims'], len(settings['depths'])
        windows = [window_size] * num_stages if isinstance(window_size, int) else window_size
        if len(windows) != num_stages:
            raise ValueError(f'SwinTransformerV2 has {num_stages} stages, but window_size={window_size!r}')
        self.out_indices = normalize_indices(out_indices, num_stages, 'SwinTransformerV2')
        self.interpolate_mode, self.frozen_stages, self.norm_eval = interpolate_mode, frozen_stages, norm_eval
        defaults = {'kernel_size': patch_size, 'stride': patch_size, 'norm_cfg': LN}
        self.patch_embed = PatchEmbed(
            in_channels, self.embed_dims, input_size=as_pair(img_size), **{**defaults, **patch_cfg}
        )
        self.patch_resolution = self.patch_embed.out_size(as_pair(img_size))
        num_patches = self.patch_resolution[0] * self.patch_resolution[1]
        position = nn.Parameter(torch.zeros(1, num_patches, self.embed_dims)) if use_abs_pos_embed else None
        self.absolute_pos_embed = position
        self.drop_after_pos = nn.Dropout(drop_rate)
        shared = {
            'with_cp': with_cp, 'pad_small_map': pad_small_map,
            'extra_norm_every_n_blocks': settings['extra_norm_every_n_blocks'],
        }  # fmt: skip
        own = [stage_cfgs] * num_stages if isinstance(stage_cfgs, Mapping) else stage_cfgs
        options = [
            {**shared, 'window_size': windows[i], 'pretrained_window_size': pretrained_window_sizes[i], **own[i]}
            for i in range(num_stages)
        ]
        self._make_stages(settings, drop_path_rate, options, as_pair(patch_size)[0], norm_cfg)
        self.register_load_state_dict_pre_hook(_fit_loaded)
        self._freeze_stages()

    def _make_stages(
        self,
        arch: Mapping[str, Any],
        drop_path_rate: float,
        options: Sequence[Mapping[str, Any]],
        stride: int,
        norm_cfg: Mapping[str, Any] | None,
    ) -> None:
        rates = decay_rule(drop_path_rate, sum(arch['depths']))
        self.stages = ModuleList()
        channels, strides, width, first = [], [], self.embed_dims, 0
        for i, (depth, num_heads) in enumerate(zip(arch['depths'], arch['num_heads'], strict=True)):
            arguments = {'downsample': i > 0, 'drop_paths': rates[first : first + depth], **options[i]}
            stage = SwinBlockV2Sequence(width, depth, num_heads, **arguments)
            self.stages.append(stage)
            width, stride, first = stage.out_channels, stride * stage.stride, first + depth
            channels.append(width)
            strides.append(stride)
        for i in self.out_indices:
            norm = nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, channels[i])[1]
            self.add_module(f'norm{i}', norm)
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)

    def init_own_weights(self) -> None:
        """Truncated normal position embeddings."""
        if self.absolute_pos_embed is not None:
            trunc_normal_(self.absolute_pos_embed, std=0.02)

    def frozen_parts(self) -> Iterable[nn.Module]:
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
        outs = []
        for i, stage in enumerate(self.stages):
            tokens_nlc, grid = stage(tokens_nlc, grid)
            if i in self.out_indices:
                outs.append(to_map(getattr(self, f'norm{i}')(tokens_nlc), grid))
        return tuple(outs)


def _fit_loaded(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before loading: position embeddings of another size of image; tables are always this network's own."""
    assert isinstance(module, SwinTransformerV2)
    position = f'{prefix}absolute_pos_embed'
    if module.absolute_pos_embed is not None and position in state:
        state[position] = fit_pos_embed(state[position], module.patch_resolution, 0, module.interpolate_mode)
    for name, table in module.named_buffers():
        if name.endswith(TABLES):
            state[prefix + name] = table
