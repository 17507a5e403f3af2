"""MViT: a vision transformer at four resolutions.

Shape suffixes: n samples, c channels, h rows, w columns, l tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.mvit_block import Size, multi_scale_blocks, scale_ends
from intarsia.nn.embed import PatchEmbed, resize_pos_embed
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair

LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
PATCH: Mapping[str, Any] = {'kernel_size': 7, 'stride': 4, 'padding': 3}
ARCH_KEYS = ('embed_dims', 'num_layers', 'num_heads', 'downscale_indices')


@BACKBONES.register_module()
class MViT(Backbone):
    """Transformer whose tokens become fewer and wider, and whose keys and values are fewer still.

    "MViTv2: Improved Multiscale Vision Transformers for Classification and Detection" (Li et al., 2021,
    arXiv:2112.01526). State keys: ``pos_embed``, ``patch_embed``, ``blocks``, ``norm{i}`` for every output i.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'`` or ``'large'``, or a dict with ``embed_dims``, ``num_layers``,
            ``num_heads``, ``downscale_indices`` (blocks that halve rows and columns), and perhaps ``dim_mul_indices``
            (blocks that widen tokens; the same ones by default).
        img_size: Usual size of the image in pixels.
        in_channels: Channels of the image.
        out_scales: Resolutions to output, from 0; negative ones count from the end.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        use_abs_pos_embed: Whether places have embeddings besides the biases of offsets.
        interpolate_mode: How they are interpolated for images of another size.
        pool_kernel: Kernel of the pooling of queries, keys and values.
        dim_mul: By how much a block widens tokens.
        head_mul: By how much it multiplies the heads.
        adaptive_kv_stride: Stride of the pooling of keys and values in the first blocks; halved with the resolution.
        rel_pos_spatial: Whether scores have biases of offsets.
        residual_pooling: Whether pooled queries are added to what the attention gives.
        dim_mul_in_attention: Whether the attention of a block widens tokens, or the linear layers of the one before.
        rel_pos_zero_init: Whether the biases start from 0.
        mlp_ratio: Channels between the linear layers of a block divided by those before them.
        qkv_bias: Whether queries, keys and values have a bias.
        norm_cfg: Config of the normalizations.
        patch_cfg: Further arguments of :class:`~intarsia.nn.embed.PatchEmbed`.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the resolutions.
    """

    arch_zoo: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        'tiny': {'embed_dims': 96, 'num_layers': 10, 'num_heads': 1, 'downscale_indices': (1, 3, 8)},
        'small': {'embed_dims': 96, 'num_layers': 16, 'num_heads': 1, 'downscale_indices': (1, 3, 14)},
        'base': {'embed_dims': 96, 'num_layers': 24, 'num_heads': 1, 'downscale_indices': (2, 5, 21)},
        'large': {'embed_dims': 144, 'num_layers': 48, 'num_heads': 2, 'downscale_indices': (2, 8, 44)},
    }
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            'tiny': (96, 192, 384, 768), 'small': (96, 192, 384, 768), 'base': (96, 192, 384, 768),
            'large': (144, 288, 576, 1152),
        }
    }  # fmt: skip
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('out_scales', 'dim_mul')

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'base',
        img_size: Pair = 224,
        in_channels: int = 3,
        out_scales: int | Sequence[int] = -1,
        drop_path_rate: float = 0.0,
        use_abs_pos_embed: bool = False,
        interpolate_mode: str = 'bicubic',
        pool_kernel: Pair = (3, 3),
        dim_mul: int = 2,
        head_mul: int = 2,
        adaptive_kv_stride: Pair = 4,
        rel_pos_spatial: bool = True,
        residual_pooling: bool = True,
        dim_mul_in_attention: bool = True,
        rel_pos_zero_init: bool = False,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        patch_cfg: Mapping[str, Any] = PATCH,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        self.interpolate_mode, self.ends = interpolate_mode, scale_ends(settings)
        self.out_scales = sorted(normalize_indices(out_scales, len(self.ends), 'MViT'))
        channels, size = settings['embed_dims'], as_pair(img_size)
        self.patch_embed = PatchEmbed(in_channels, channels, input_size=size, **patch_cfg)
        self.grid = self.patch_embed.out_size(size)
        places = torch.zeros(1, self.grid[0] * self.grid[1], channels)
        self.pos_embed = nn.Parameter(places) if use_abs_pos_embed else None
        options: dict[str, Any] = {
            'drop_path_rate': drop_path_rate, 'dim_mul': dim_mul, 'head_mul': head_mul, 'mlp_ratio': mlp_ratio,
            'dim_mul_in_attention': dim_mul_in_attention, 'qkv_bias': qkv_bias, 'norm_cfg': norm_cfg,
            'pool_kernel': as_pair(pool_kernel), 'rel_pos_embed': rel_pos_spatial, 'residual_pooling': residual_pooling,
            'rel_pos_zero_init': rel_pos_zero_init,
        }  # fmt: skip
        stride_kv = as_pair(adaptive_kv_stride)
        self.blocks, widths = multi_scale_blocks(settings, self.grid, (2, 2), stride_kv, **options)
        width_of = {scale: widths[i] for i, scale in self.ends.items()}
        for scale in self.out_scales:
            self.add_module(f'norm{scale}', build_norm_layer(norm_cfg, width_of[scale])[1])
        step = as_pair(patch_cfg.get('stride', 16))[0]
        self.out_channels = tuple(width_of[scale] for scale in self.out_scales)
        self.strides = tuple(step * 2**scale for scale in self.out_scales)

    def init_own_weights(self) -> None:
        """Truncated normal embeddings of places."""
        if self.pos_embed is not None:
            trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features ``(N, C, H', W')`` of images ``(N, in_channels, H, W)``, one for each of ``out_scales``."""
        tokens_nlc, grid = self.patch_embed(x)
        if self.pos_embed is not None:
            tokens_nlc = tokens_nlc + resize_pos_embed(self.pos_embed, self.grid, grid, self.interpolate_mode, 0)
        size: Size = grid
        outs = []
        for i, block in enumerate(self.blocks):
            tokens_nlc, size = block(tokens_nlc, size)
            scale = self.ends.get(i)
            if scale in self.out_scales:
                tokens_nlc = getattr(self, f'norm{scale}')(tokens_nlc)
                outs.append(tokens_nlc.transpose(1, 2).unflatten(2, size))
        return tuple(outs)
