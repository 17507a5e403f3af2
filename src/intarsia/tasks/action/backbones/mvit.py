"""MViT: a vision transformer of clips at four resolutions of space.

Shape suffixes: n clips, l tokens, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, init_from, normalize_indices
from intarsia.models.backbones.mvit import ARCH_KEYS
from intarsia.models.backbones.mvit import MViT as ImageMViT
from intarsia.models.backbones.mvit_block import Size, multi_scale_blocks, scale_ends
from intarsia.nn.init import is_pretrained, trunc_normal_
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.backbones.patch_embed3d import PatchEmbed3D, as_triple

LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
PATCH: Mapping[str, Any] = {'kernel_size': (3, 7, 7), 'stride': (2, 4, 4), 'padding': (1, 3, 3)}
PREFIX = 'backbone.'


@BACKBONES.register_module()
class MViT(Backbone):
    """Transformer whose tokens become fewer and wider, and whose keys and values are fewer still.

    "MViTv2: Improved Multiscale Vision Transformers for Classification and Detection" (Li et al., 2021,
    arXiv:2112.01526). State keys: ``cls_token``, ``pos_embed``, ``patch_embed``, ``blocks``, ``norm{i}`` for every
    output i.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'`` or ``'large'``, or a dict with ``embed_dims``, ``num_layers``,
            ``num_heads``, ``downscale_indices`` (blocks that halve rows and columns), and perhaps ``dim_mul_indices``
            (blocks that widen tokens; the same ones by default).
        spatial_size: Usual side of a frame in pixels.
        temporal_size: Usual number of frames.
        in_channels: Channels of the clip.
        pretrained: Weights to start from.
        pretrained_type: ``'maskfeat'`` for weights of the masked training, whose biases of offsets are interpolated.
        out_scales: Resolutions to output, from 0; negative ones count from the end.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        use_abs_pos_embed: Whether places have embeddings besides the biases of offsets.
        interpolate_mode: How they are interpolated for clips of another size.
        pool_kernel: Kernel of the pooling of queries, keys and values, ``(t, h, w)``.
        dim_mul: By how much a block widens tokens.
        head_mul: By how much it multiplies the heads.
        adaptive_kv_stride: Stride of the pooling of keys and values in the first blocks; halved with the resolution.
        rel_pos_embed: Whether scores have biases of offsets.
        residual_pooling: Whether pooled queries are added to what the attention gives.
        dim_mul_in_attention: Whether the attention of a block widens tokens, or the linear layers of the one before.
        with_cls_token: Whether the blocks see a class token.
        output_cls_token: Whether an output is ``[map, class token]``, and not the map alone.
        rel_pos_zero_init: Whether the biases start from 0.
        mlp_ratio: Channels between the linear layers of a block divided by those before them.
        qkv_bias: Whether queries, keys and values have a bias.
        norm_cfg: Config of the normalizations.
        patch_cfg: Further arguments of :class:`~intarsia.tasks.action.backbones.patch_embed3d.PatchEmbed3D`.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, an index lies outside of the resolutions, or a class
            token is to be output without one.
    """

    arch_zoo: ClassVar[Mapping[str, Mapping[str, Any]]] = ImageMViT.arch_zoo
    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'layer': ['Conv2d', 'Conv3d'], 'std': 0.02},
        {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02, 'bias': 0.02},
        {'type': 'Constant', 'layer': 'LayerNorm', 'val': 1.0, 'bias': 0.02},
    )

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'base',
        spatial_size: int = 224,
        temporal_size: int = 16,
        in_channels: int = 3,
        pretrained: str | None = None,
        pretrained_type: Literal['maskfeat'] | None = None,
        out_scales: int | Sequence[int] = -1,
        drop_path_rate: float = 0.0,
        use_abs_pos_embed: bool = False,
        interpolate_mode: str = 'trilinear',
        pool_kernel: Sequence[int] = (3, 3, 3),
        dim_mul: int = 2,
        head_mul: int = 2,
        adaptive_kv_stride: Sequence[int] = (1, 8, 8),
        rel_pos_embed: bool = True,
        residual_pooling: bool = True,
        dim_mul_in_attention: bool = True,
        with_cls_token: bool = True,
        output_cls_token: bool = True,
        rel_pos_zero_init: bool = False,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        patch_cfg: Mapping[str, Any] = PATCH,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg if pretrained is None else init_from(pretrained, None))
        if pretrained_type not in (None, 'maskfeat'):
            raise ValueError(f"MViT: pretrained_type is 'maskfeat' or None, not {pretrained_type!r}")
        if output_cls_token and not with_cls_token:
            raise ValueError('MViT: with_cls_token=False, so there is no class token to output')
        settings = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        self.pretrained_type, self.interpolate_mode = pretrained_type, interpolate_mode
        self.with_cls_token, self.output_cls_token = with_cls_token, output_cls_token
        self.ends = scale_ends(settings)
        self.out_scales = sorted(normalize_indices(out_scales, len(self.ends), 'MViT'))

        channels = settings['embed_dims']
        self.patch_embed = PatchEmbed3D(in_channels, channels, **patch_cfg)
        self.grid = self.patch_embed.out_size((temporal_size, spatial_size, spatial_size))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        places = torch.zeros(1, math.prod(self.grid) + 1, channels)
        self.pos_embed = nn.Parameter(places) if use_abs_pos_embed else None
        options: dict[str, Any] = {
            'drop_path_rate': drop_path_rate, 'dim_mul': dim_mul, 'head_mul': head_mul, 'mlp_ratio': mlp_ratio,
            'dim_mul_in_attention': dim_mul_in_attention, 'qkv_bias': qkv_bias, 'norm_cfg': norm_cfg,
            'pool_kernel': as_triple(pool_kernel), 'rel_pos_embed': rel_pos_embed, 'residual_pooling': residual_pooling,
            'with_cls_token': with_cls_token, 'rel_pos_zero_init': rel_pos_zero_init,
        }  # fmt: skip
        stride_kv = as_triple(adaptive_kv_stride)
        self.blocks, widths = multi_scale_blocks(settings, self.grid, (1, 2, 2), stride_kv, **options)
        width_of = {scale: widths[i] for i, scale in self.ends.items()}
        for scale in self.out_scales:
            self.add_module(f'norm{scale}', build_norm_layer(norm_cfg, width_of[scale])[1])
        step = as_triple(patch_cfg.get('stride', (2, 4, 4)))[1]
        self.out_channels = tuple(width_of[scale] for scale in self.out_scales)
        self.strides = tuple(step * 2**scale for scale in self.out_scales)

    def init_weights(self) -> None:
        """As ``init_cfg`` says; weights of the masked training with biases of this network's size."""
        cfg: Any = self.init_cfg
        if self.pretrained_type is None or not isinstance(cfg, Mapping) or not is_pretrained(cfg):
            super().init_weights()
        elif not self._is_init:
            self._is_init = True
            state, own = read_state_dict(find_weights(cfg['checkpoint'])), self.state_dict()
            state = {key.removeprefix(PREFIX): each for key, each in state.items() if key.startswith(PREFIX)}
            for key in [key for key in state if 'attn.rel_pos' in key and key in own]:
                state[key] = F.interpolate(state[key].T[None], size=len(own[key]), mode='linear')[0].T
            load_state_dict(self, state, strict=False)

    def init_own_weights(self) -> None:
        """Truncated normal embeddings of places."""
        if self.pos_embed is not None:
            trunc_normal_(self.pos_embed, std=0.02)

    def _places(self, grid: Size) -> Tensor | float:
        """What is added to the class token and the tokens of a map of this size."""
        if self.pos_embed is None or grid == self.grid:
            return 0.0 if self.pos_embed is None else self.pos_embed
        maps_1cthw = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, self.grid)
        resized = F.interpolate(maps_1cthw, size=grid, mode=self.interpolate_mode, align_corners=False)
        return torch.cat((self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)), dim=1)

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        """Features of clips ``(N, in_channels, T, H, W)``.

        Returns:
            For each resolution ``[map (N, C, T', H', W'), class token (N, C)]``, or the map alone.
        """
        tokens_nthwc = self.patch_embed(x)
        size: Size = tuple(tokens_nthwc.shape[1:4])
        tokens_nlc = torch.cat((self.cls_token.expand(len(x), -1, -1), tokens_nthwc.flatten(1, 3)), dim=1)
        tokens_nlc = tokens_nlc + self._places(size)
        tokens_nlc = tokens_nlc if self.with_cls_token else tokens_nlc[:, 1:]
        outs = []
        for i, block in enumerate(self.blocks):
            tokens_nlc, size = block(tokens_nlc, size)
            scale = self.ends.get(i)
            if scale in self.out_scales:
                tokens_nlc = getattr(self, f'norm{scale}')(tokens_nlc)
                outs.append(self._output(tokens_nlc, size))
        return tuple(outs)

    def _output(self, tokens_nlc: Tensor, size: Size) -> Any:
        map_ncthw = tokens_nlc[:, int(self.with_cls_token) :].transpose(1, 2).unflatten(2, size)
        return [map_ncthw, tokens_nlc[:, 0]] if self.output_cls_token else map_ncthw
