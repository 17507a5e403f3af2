"""The layers of Twins.

Shape suffixes: n samples, l tokens, c channels, m windows, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.models.backbones.mit import to_map, to_tokens
from intarsia.nn.attention import split_heads, window_partition, window_reverse
from intarsia.nn.drop import path_or_identity
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule
from intarsia.nn.norm import build_norm_layer

LN: Mapping[str, Any] = {'type': 'LN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class ConditionalPositionEncoding(BaseModule):
    """Add a 3 x 3 convolution of every channel by itself: zeros around the map tell where its borders are.

    "Conditional Positional Encodings for Vision Transformers" (Chu et al., 2021, arXiv:2102.10882).

    Args:
        embed_dims: Channels C.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(embed_dims, embed_dims, 3, padding=1, groups=embed_dims)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        x_nchw = to_map(tokens_nlc, hw_shape)
        return to_tokens(self.proj(x_nchw) + x_nchw)


class GlobalSubsampledAttention(BaseModule):
    """Attention to a map of lower resolution.

    State keys: ``q``, ``kv``, ``proj``, and ``sr`` and ``norm`` if the resolution is lower;
    :class:`intarsia.models.backbones.mit.EfficientMultiheadAttention` has those of segmentation.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads; divides ``embed_dims``.
        sr_ratio: By how much height and width are divided before they are attended to.
        qkv_bias: Whether queries, keys and values have a bias.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
        norm_cfg: Config of the normalization of the coarser map.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        sr_ratio: int = 1,
        qkv_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN,
    ) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} is not a multiple of num_heads={num_heads}')
        self.num_heads, self.sr_ratio, self.attn_drop = num_heads, sr_ratio, attn_drop
        self.q = nn.Linear(embed_dims, embed_dims, bias=qkv_bias)
        self.kv = nn.Linear(embed_dims, embed_dims * 2, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop)
        if sr_ratio > 1:
            self.sr = nn.Conv2d(embed_dims, embed_dims, sr_ratio, stride=sr_ratio)
            self.norm = build_norm_layer(norm_cfg, embed_dims)[1]

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        source_nlc = tokens_nlc
        if self.sr_ratio > 1:
            source_nlc = self.norm(to_tokens(self.sr(to_map(tokens_nlc, hw_shape))))
        query = self.q(tokens_nlc).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        key, value = self.kv(source_nlc).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        drop = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=drop)
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))


class LocallyGroupedSelfAttention(BaseModule):
    """Attention within windows that are not shifted.

    A map is padded below and to the right to whole windows. Its own places do not attend to the padding if there is
    some on both sides; if there is on one side only, they do, as in the published networks.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads; divides ``embed_dims``.
        window_size: Side of a window.
        qkv_bias: Whether queries, keys and values have a bias.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int = 8,
        window_size: int = 1,
        qkv_bias: bool = False,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
    ) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} is not a multiple of num_heads={num_heads}')
        self.num_heads, self.window_size, self.attn_drop = num_heads, window_size, attn_drop
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        (height, width), side = hw_shape, self.window_size
        below, right = -height % side, -width % side
        x_nhwc = F.pad(tokens_nlc.unflatten(1, hw_shape), (0, 0, 0, right, 0, below))
        padded = (height + below, width + right)
        windows_nlc = window_partition(x_nhwc, side).flatten(1, 2)
        mask = None
        if below and right:
            mask_mll = padding_mask(hw_shape, padded, side, tokens_nlc)
            mask = mask_mll.unsqueeze(1).repeat(len(tokens_nlc), 1, 1, 1)
        drop = self.attn_drop if self.training else 0.0
        query, key, value = split_heads(self.qkv(windows_nlc), self.num_heads)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=drop)
        x_nhwc = window_reverse(out.transpose(1, 2).flatten(2), padded, side)
        return self.proj_drop(self.proj(x_nhwc[:, :height, :width].flatten(1, 2)))


def padding_mask(hw_shape: tuple[int, int], padded: tuple[int, int], side: int, like: Tensor) -> Tensor:
    """-1000 between places of the map and its padding, else 0; ``(M, L, L)`` for windows of L = side ** 2 places."""
    outside_1hw1 = like.new_ones((1, *padded, 1), dtype=torch.bool)
    outside_1hw1[:, : hw_shape[0], : hw_shape[1]] = False
    outside_ml = window_partition(outside_1hw1, side).flatten(1)
    apart_mll = outside_ml[:, :, None] != outside_ml[:, None, :]
    return like.new_zeros(apart_mll.shape).masked_fill_(apart_mll, -1000.0)


class TwinsEncoderLayer(BaseModule):
    """Attention, then a feed-forward network, each on normalized tokens and added to them.

    Args:
        attn: The attention; called with tokens and the size of their map.
        embed_dims: Channels C.
        feedforward_channels: Channels inside the feed-forward network.
        drop_rate: Dropout after linear layers.
        drop_path_rate: A sample goes without a branch by two independent chances, each of this probability.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        attn: nn.Module,
        embed_dims: int,
        feedforward_channels: int,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn: Any = attn
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, feedforward_channels, act_cfg=GELU, ffn_drop=drop_rate, add_identity=False)
        self.drop_path = path_or_identity(1 - (1 - drop_path_rate) ** 2)

    def attended(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """The attention of tokens ``(N, H * W, C)`` of a map (H, W)."""
        return self.attn(tokens_nlc, hw_shape)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        tokens_nlc = tokens_nlc + self.drop_path(self.attended(self.norm1(tokens_nlc), hw_shape))
        return tokens_nlc + self.drop_path(self.ffn(self.norm2(tokens_nlc)))
