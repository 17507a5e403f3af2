"""Transformer in transformer.

Shape suffixes: n samples, l patches, p pixels of a patch, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch
from intarsia.models.backbones.residual_attention import ResidualAttention
from intarsia.nn.drop import decay_rule
from intarsia.nn.ffn import FFN
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair

LN: Mapping[str, Any] = {'type': 'LN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}
ARCH_KEYS = ('embed_dims_outer', 'embed_dims_inner', 'num_layers', 'num_heads_outer', 'num_heads_inner')


class TransformerBlock(BaseModule):
    """Self-attention, then a feed-forward network, each on normalized tokens and added to them.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        ffn_ratio: Channels inside the feed-forward network divided by C.
        drop_rate: Dropout after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Probability that a sample goes without a branch.
        num_fcs: Number of linear layers of the feed-forward network.
        qkv_bias: Whether queries, keys and values have a bias.
        act_cfg: Config of the activation.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        ffn_ratio: int = 4,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        num_fcs: int = 2,
        qkv_bias: bool = False,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
    ) -> None:
        super().__init__()
        drop_path = {'type': 'DropPath', 'drop_prob': drop_path_rate} if drop_path_rate > 0 else None
        self.norm_attn = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = ResidualAttention(embed_dims, num_heads, attn_drop_rate, drop_rate, drop_path)
        if not qkv_bias:
            self.attn.attn.register_parameter('in_proj_bias', None)  # the output projection keeps its own
        self.norm_ffn = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, embed_dims * ffn_ratio, num_fcs, act_cfg, drop_rate, drop_path)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        tokens_nlc = self.attn(self.norm_attn(tokens_nlc), identity=tokens_nlc)
        return self.ffn(self.norm_ffn(tokens_nlc), identity=tokens_nlc)


class TnTLayer(BaseModule):
    """A block over the pixels of each patch, whose result is added to the patch, and a block over the patches.

    Args:
        num_pixel: Number P of pixels of a patch.
        embed_dims_inner: Channels of the pixels.
        embed_dims_outer: Channels of the patches.
        num_heads_inner: Heads over the pixels.
        num_heads_outer: Heads over the patches.
        block_cfg: Further arguments of both blocks.
        norm_cfg: Config of the normalization of pixels.
    """

    def __init__(
        self,
        num_pixel: int,
        embed_dims_inner: int,
        embed_dims_outer: int,
        num_heads_inner: int,
        num_heads_outer: int,
        block_cfg: Mapping[str, Any],
        norm_cfg: Mapping[str, Any] = LN,
    ) -> None:
        super().__init__()
        self.inner_block = TransformerBlock(embed_dims_inner, num_heads_inner, **block_cfg)
        self.norm_proj = build_norm_layer(norm_cfg, embed_dims_inner)[1]
        self.projection = nn.Linear(embed_dims_inner * num_pixel, embed_dims_outer)
        self.outer_block = TransformerBlock(embed_dims_outer, num_heads_outer, **block_cfg)

    def forward(self, pixels_npc: Tensor, patches_nlc: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels ``(N * L, P, C)`` and patches ``(N, 1 + L, C')``, the class token first, in and out."""
        pixels_npc = self.inner_block(pixels_npc)
        inside = self.norm_proj(pixels_npc).flatten(1).unflatten(0, (len(patches_nlc), -1))
        return pixels_npc, self.outer_block(patches_nlc + F.pad(self.projection(inside), (0, 0, 1, 0)))


class PixelEmbed(BaseModule):
    """Pixels of every patch by a strided convolution.

    Args:
        img_size: Size of the image in pixels, (height, width).
        patch_size: Size of a patch in pixels, (height, width).
        in_channels: Channels of the image.
        embed_dims_inner: Channels C of the pixels.
        stride: Stride of the convolution.

    Attributes:
        num_patches: Number L of patches.
        new_patch_size: Rows and columns of the pixels of a patch.
    """

    def __init__(
        self,
        img_size: Pair = 224,
        patch_size: Pair = 16,
        in_channels: int = 3,
        embed_dims_inner: int = 48,
        stride: int = 4,
    ) -> None:
        super().__init__()
        self.img_size, patch = as_pair(img_size), as_pair(patch_size)
        self.num_patches = (self.img_size[0] // patch[0]) * (self.img_size[1] // patch[1])
        self.new_patch_size = (math.ceil(patch[0] / stride), math.ceil(patch[1] / stride))
        self.proj = nn.Conv2d(in_channels, embed_dims_inner, 7, stride, padding=3)
        self.unfold = nn.Unfold(self.new_patch_size, stride=self.new_patch_size)

    def forward(self, image_nchw: Tensor, pixel_pos_1chw: Tensor) -> Tensor:
        """Pixels ``(N * L, P, C)`` of images ``(N, in_channels, H, W)``, with their embeddings added.

        Raises:
            ValueError: The images have another size.
        """
        if tuple(image_nchw.shape[2:]) != self.img_size:
            raise ValueError(f'TNT takes images of {self.img_size} only, not {tuple(image_nchw.shape[2:])}')
        pixels_ncl = self.unfold(self.proj(image_nchw))
        pixels = pixels_ncl.transpose(1, 2).flatten(0, 1).unflatten(1, tuple(pixel_pos_1chw.shape[1:]))
        return (pixels + pixel_pos_1chw).flatten(2).transpose(1, 2)


def _arch(*numbers: int) -> dict[str, int]:
    return dict(zip(ARCH_KEYS, numbers, strict=True))


@BACKBONES.register_module()
class TNT(Backbone):
    """Transformer over patches with small transformers over the pixels of each patch; the output is the class token.

    "Transformer in Transformer" (Han et al., 2021, arXiv:2103.00112).

    State keys: ``pixel_embed``, ``norm1_proj``, ``projection``, ``norm2_proj``, ``cls_token``, ``patch_pos``,
    ``pixel_pos``, ``layers``, ``norm``.

    Args:
        arch: Name of an architecture, or a dict with ``embed_dims_outer`` (patches), ``embed_dims_inner`` (pixels),
            ``num_layers``, ``num_heads_outer`` and ``num_heads_inner``.
        img_size: Size of the image in pixels, (height, width); images of other sizes are refused.
        patch_size: Size of a patch in pixels.
        in_channels: Channels of the image.
        ffn_ratio: Channels inside the feed-forward networks divided by those outside.
        qkv_bias: Whether queries, keys and values have a bias.
        drop_rate: Dropout of tokens and after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
        first_stride: Stride of the convolution that makes pixels.
        num_fcs: Number of linear layers of the feed-forward networks.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete.
    """

    arch_zoo: ClassVar[dict[str, dict[str, int]]] = {
        **dict.fromkeys(('s', 'small'), _arch(384, 24, 12, 6, 4)),
        **dict.fromkeys(('b', 'base'), _arch(640, 40, 12, 10, 4)),
    }
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {'arch': {'s': (384,), 'small': (384,), 'b': (640,), 'base': (640,)}}
    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02},
        {'type': 'Constant', 'layer': 'LayerNorm', 'val': 1.0, 'bias': 0.0},
    )

    def __init__(
        self,
        arch: str | Mapping[str, int] = 'b',
        img_size: Pair = 224,
        patch_size: Pair = 16,
        in_channels: int = 3,
        ffn_ratio: int = 4,
        qkv_bias: bool = False,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
        first_stride: int = 4,
        num_fcs: int = 2,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        inner, outer = settings['embed_dims_inner'], settings['embed_dims_outer']
        self.pixel_embed = PixelEmbed(img_size, patch_size, in_channels, inner, first_stride)
        self.num_patches = self.pixel_embed.num_patches
        rows, columns = self.pixel_embed.new_patch_size
        num_pixel = rows * columns
        self.norm1_proj = build_norm_layer(norm_cfg, num_pixel * inner)[1]
        self.projection = nn.Linear(num_pixel * inner, outer)
        self.norm2_proj = build_norm_layer(norm_cfg, outer)[1]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, outer))
        self.patch_pos = nn.Parameter(torch.zeros(1, self.num_patches + 1, outer))
        self.pixel_pos = nn.Parameter(torch.zeros(1, inner, rows, columns))
        self.drop_after_pos = nn.Dropout(drop_rate)
        shared: dict[str, Any] = {
            'ffn_ratio': ffn_ratio, 'drop_rate': drop_rate, 'attn_drop_rate': attn_drop_rate, 'num_fcs': num_fcs,
            'qkv_bias': qkv_bias, 'act_cfg': act_cfg, 'norm_cfg': norm_cfg,
        }  # fmt: skip
        self.layers = ModuleList(
            TnTLayer(
                num_pixel, inner, outer, settings['num_heads_inner'], settings['num_heads_outer'],
                {**shared, 'drop_path_rate': rate}, norm_cfg,
            )
            for rate in decay_rule(drop_path_rate, settings['num_layers'])
        )  # fmt: skip
        self.norm = build_norm_layer(norm_cfg, outer)[1]
        self.out_channels, self.strides = (outer,), (0,)

    def init_own_weights(self) -> None:
        """Truncated normal class token and position embeddings."""
        embeddings: Sequence[Tensor] = (self.cls_token, self.patch_pos, self.pixel_pos)
        for embedding in embeddings:
            trunc_normal_(embedding, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images ``(N, in_channels, H, W)`` to the class token, ``(N, C)``."""
        pixels_npc = self.pixel_embed(x, self.pixel_pos)
        inside = self.norm1_proj(pixels_npc.flatten(1)).unflatten(0, (len(x), -1))
        patches_nlc = self.norm2_proj(self.projection(inside))
        patches_nlc = torch.cat((self.cls_token.expand(len(x), -1, -1), patches_nlc), dim=1) + self.patch_pos
        patches_nlc = self.drop_after_pos(patches_nlc)
        for layer in self.layers:
            pixels_npc, patches_nlc = layer(pixels_npc, patches_nlc)
        return (self.norm(patches_nlc)[:, 0],)
