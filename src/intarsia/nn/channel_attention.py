"""Self-attention among channels.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.attention import split_heads
from intarsia.nn.module import BaseModule, InitCfg


class ChannelMultiheadAttention(BaseModule):
    """Attention whose scores are the correlations of channels over all tokens, at a cost linear in their number.

    "XCiT: Cross-Covariance Image Transformers" (El-Nouby et al., 2021, arXiv:2106.09681).

    State keys: ``scale``, ``qkv``, ``proj``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads; divides ``embed_dims``.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
        qkv_bias: Whether queries, keys and values have a bias.
        proj_bias: Whether the output projection has a bias.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The heads do not divide the channels.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int = 8,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        qkv_bias: bool = False,
        proj_bias: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} is not a multiple of num_heads={num_heads}')
        self.num_heads = num_heads
        self.scale = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.attn_drop = attn_drop
        self.proj = nn.Linear(embed_dims, embed_dims, bias=proj_bias)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        query, key, value = (each.transpose(-2, -1) for each in split_heads(self.qkv(tokens_nlc), self.num_heads))
        query = F.normalize(query, dim=-1) * self.scale
        drop = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, F.normalize(key, dim=-1), value, dropout_p=drop, scale=1.0)
        return self.proj_drop(self.proj(out.flatten(1, 2).transpose(1, 2)))
