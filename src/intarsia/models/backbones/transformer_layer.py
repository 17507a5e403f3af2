"""The encoder layer of vision transformers.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.nn.attention import MultiheadAttention
from intarsia.nn.ffn import FFN, SwiGLUFFN
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer

LN: Mapping[str, Any] = {'type': 'LN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class TransformerEncoderLayer(BaseModule):
    """Self-attention, then a feed-forward network, each on normalized tokens and added to them.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        feedforward_channels: Channels inside the feed-forward network.
        layer_scale_init_value: First value of a factor per channel of each branch; 0 for no factor.
        drop_rate: Dropout after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Probability that a sample goes without a branch.
        num_fcs: Number of linear layers of the feed-forward network.
        qkv_bias: Whether queries, keys and values have a bias.
        ffn_type: ``'origin'``, or ``'swiglu_fused'`` for a gated network.
        act_cfg: Config of the activation of the ungated network.
        norm_cfg: Config of the normalizations.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        layer_scale_init_value: float = 0.0,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        num_fcs: int = 2,
        qkv_bias: bool = True,
        ffn_type: Literal['origin', 'swiglu_fused'] = 'origin',
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        branch: dict[str, Any] = {'layer_scale_init_value': layer_scale_init_value}
        if drop_path_rate > 0:
            branch['dropout_layer'] = {'type': 'DropPath', 'drop_prob': drop_path_rate}
        self.ln1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = MultiheadAttention(
            embed_dims, num_heads, attn_drop=attn_drop_rate, proj_drop=drop_rate, qkv_bias=qkv_bias, **branch
        )
        self.ln2 = build_norm_layer(norm_cfg, embed_dims)[1]
        if ffn_type == 'origin':
            self.ffn: FFN | SwiGLUFFN = FFN(
                embed_dims, feedforward_channels, num_fcs=num_fcs, act_cfg=act_cfg, ffn_drop=drop_rate, **branch
            )
        elif ffn_type == 'swiglu_fused':
            self.ffn = SwiGLUFFN(embed_dims, feedforward_channels, **branch)
        else:
            raise ValueError(f"ffn_type must be 'origin' or 'swiglu_fused', not {ffn_type!r}")

    def init_own_weights(self) -> None:
        """Glorot initialization of the feed-forward network, with almost no bias."""
        for layer in self.ffn.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        tokens_nlc = tokens_nlc + self.attn(self.ln1(tokens_nlc))
        return self.ffn(self.ln2(tokens_nlc), identity=tokens_nlc)
