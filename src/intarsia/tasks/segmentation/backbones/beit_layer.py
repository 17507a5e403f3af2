"""The layers of BEiT as segmentation has them.

Shape suffixes: n samples, l tokens, c channels, h heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.attention import relative_position_index, split_heads
from intarsia.nn.drop import path_or_identity
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule
from intarsia.nn.norm import build_norm_layer


class BEiTAttention(BaseModule):
    """Self-attention with a learned bias for every relative position in a grid of patches.

    State keys: ``q_bias``, ``v_bias``, ``qkv``, ``proj``, ``relative_position_bias_table``,
    ``relative_position_index``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads; divides ``embed_dims``.
        window_size: Rows and columns of patches. Before them there is a class token, whose three relations, to
            patches, from them, and to itself, have the last rows of the table.
        bias: ``'qv_bias'`` for queries and values alone, True for keys too, or False.
        attn_drop_rate: Dropout of the attention weights.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: tuple[int, int],
        bias: bool | str = 'qv_bias',
        attn_drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_heads, self.attn_drop = num_heads, attn_drop_rate
        self.qv_bias = bias == 'qv_bias'
        if self.qv_bias:
            self.q_bias = nn.Parameter(torch.zeros(embed_dims))
            self.v_bias = nn.Parameter(torch.zeros(embed_dims))
        index = index_with_class_token(*window_size)
        num_rows = (2 * window_size[0] - 1) * (2 * window_size[1] - 1) + 3
        self.relative_position_bias_table = nn.Parameter(torch.zeros(num_rows, num_heads))
        self.register_buffer('relative_position_index', index)
        self.relative_position_index: Tensor
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=bool(bias) and not self.qv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, 1 + rows * columns, C)`` in and out."""
        bias: Tensor | None = self.qkv.bias
        if self.qv_bias:
            bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        query, key, value = split_heads(F.linear(tokens_nlc, self.qkv.weight, bias), self.num_heads)
        position_hll = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        drop = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=position_hll.to(query.dtype).contiguous(), dropout_p=drop
        )
        return self.proj(out.transpose(1, 2).flatten(2))


def index_with_class_token(rows: int, columns: int) -> Tensor:
    """Row of the bias table for every pair of tokens, int64 ``(1 + L, 1 + L)`` with L = rows * columns."""
    num_relations = (2 * rows - 1) * (2 * columns - 1)
    index = F.pad(relative_position_index(rows, columns), (1, 0, 1, 0))
    index[0, :] = num_relations
    index[:, 0] = num_relations + 1
    index[0, 0] = num_relations + 2
    return index


class BEiTTransformerEncoderLayer(BaseModule):
    """Attention and a feed-forward network on normalized tokens, each scaled by a factor per channel and added.

    State keys: ``ln1``, ``attn``, ``gamma_1``, ``ln2``, ``ffn``, ``gamma_2``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        feedforward_channels: Channels inside the feed-forward network.
        window_size: Rows and columns of patches.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Probability that a sample goes without a branch.
        num_fcs: Number of linear layers of the feed-forward network.
        bias: Bias of queries, keys and values; see :class:`BEiTAttention`.
        act_cfg: Config of the activation.
        norm_cfg: Config of the normalizations.
        init_values: First value of the factors.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        window_size: tuple[int, int],
        attn_drop_rate: float,
        drop_path_rate: float,
        num_fcs: int,
        bias: bool | str,
        act_cfg: Mapping[str, Any],
        norm_cfg: Mapping[str, Any],
        init_values: float,
    ) -> None:
        super().__init__()
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, embed_dims, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.attn = BEiTAttention(embed_dims, num_heads, window_size, bias, attn_drop_rate)
        self.norm2_name, norm2 = build_norm_layer(norm_cfg, embed_dims, postfix=2)
        self.add_module(self.norm2_name, norm2)
        self.ffn = FFN(embed_dims, feedforward_channels, num_fcs, act_cfg, add_identity=False)
        self.gamma_1 = nn.Parameter(torch.full((embed_dims,), float(init_values)))
        self.gamma_2 = nn.Parameter(torch.full((embed_dims,), float(init_values)))
        self.drop_path = path_or_identity(drop_path_rate)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, 1 + rows * columns, C)`` in and out."""
        norm1, norm2 = getattr(self, self.norm1_name), getattr(self, self.norm2_name)
        tokens_nlc = tokens_nlc + self.drop_path(self.gamma_1 * self.attn(norm1(tokens_nlc)))
        return tokens_nlc + self.drop_path(self.gamma_2 * self.ffn(norm2(tokens_nlc)))
