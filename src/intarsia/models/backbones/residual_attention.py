"""Attention whose result is added to the queries, on PyTorch's own layer.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from intarsia.nn.drop import build_dropout
from intarsia.nn.module import BaseModule, InitCfg


class ResidualAttention(BaseModule):
    """``nn.MultiheadAttention``, added to its queries or to another tensor.

    "Attention Is All You Need" (Vaswani et al., 2017, arXiv:1706.03762).

    State keys: ``attn.in_proj_weight``, ``attn.in_proj_bias``, ``attn.out_proj``, as checkpoints of segmentation
    transformers have them; :class:`intarsia.nn.attention.MultiheadAttention` has those of classification.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads; divides ``embed_dims``.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
        dropout_layer: Config of the dropout of the whole branch, as :func:`~intarsia.nn.drop.build_dropout` takes it.
        qkv_bias: Whether all linear layers have a bias, the output projection included.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = None,
        qkv_bias: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} is not a multiple of num_heads={num_heads}')
        self.embed_dims, self.num_heads = embed_dims, num_heads
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, attn_drop, bias=qkv_bias, batch_first=True)
        self.proj_drop = nn.Dropout(proj_drop)
        self.dropout_layer = build_dropout(dropout_layer)

    def forward(self, query_nlc: Tensor, key_nlc: Tensor | None = None, identity: Tensor | None = None) -> Tensor:
        """Attend from some tokens to others.

        Args:
            query_nlc: ``(N, L, C)``.
            key_nlc: What is attended to, ``(N, L', C)``; the queries if not given.
            identity: What the result is added to, ``(N, L, C)``; the queries if not given.

        Returns:
            ``(N, L, C)``.
        """
        source_nlc = query_nlc if key_nlc is None else key_nlc
        out_nlc = self.attn(query_nlc, source_nlc, source_nlc, need_weights=False)[0]
        return (query_nlc if identity is None else identity) + self.dropout_layer(self.proj_drop(out_nlc))
