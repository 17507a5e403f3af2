"""Feed-forward networks of transformers.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.activation import build_activation_layer
from intarsia.nn.drop import build_dropout
from intarsia.nn.layer_scale import scale_or_identity
from intarsia.nn.module import BaseModule, InitCfg, Sequential

RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}


class FFN(BaseModule):
    """Linear layers with an activation in between, added to their input.

    Args:
        embed_dims: Channels C of the tokens.
        feedforward_channels: Channels in between.
        num_fcs: Number of linear layers, at least 2.
        act_cfg: Config of the activation.
        ffn_drop: Dropout after each linear layer.
        dropout_layer: Config of the dropout of the whole branch, as :func:`~intarsia.nn.drop.build_dropout` takes it.
        add_identity: Whether the input is added.
        layer_scale_init_value: First value of a factor per channel of the branch; 0 for no factor.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        feedforward_channels: int = 1024,
        num_fcs: int = 2,
        act_cfg: Mapping[str, Any] = RELU,
        ffn_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = None,
        add_identity: bool = True,
        layer_scale_init_value: float = 0.0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_fcs < 2:
            raise ValueError(f'FFN: num_fcs={num_fcs} must be at least 2')
        self.embed_dims, self.feedforward_channels = embed_dims, feedforward_channels
        widths = [embed_dims, *[feedforward_channels] * (num_fcs - 1)]
        hidden = [
            Sequential(nn.Linear(before, after), build_activation_layer(act_cfg), nn.Dropout(ffn_drop))
            for before, after in itertools.pairwise(widths)
        ]
        self.layers = Sequential(*hidden, nn.Linear(widths[-1], embed_dims), nn.Dropout(ffn_drop))
        self.dropout_layer = build_dropout(dropout_layer)
        self.add_identity = add_identity
        self.gamma2 = scale_or_identity(embed_dims, layer_scale_init_value)

    def forward(self, tokens_nlc: Tensor, identity: Tensor | None = None) -> Tensor:
        """Apply the branch and add ``identity``, or the input itself if it is not given; shape ``(N, L, C)``."""
        out_nlc = self.dropout_layer(self.gamma2(self.layers(tokens_nlc)))
        if not self.add_identity:
            return out_nlc
        return (tokens_nlc if identity is None else identity) + out_nlc


class SwiGLUFFN(BaseModule):
    """Feed-forward network with a gate, added to its input.

    "GLU Variants Improve Transformer" (Shazeer, 2020, arXiv:2002.05202), with the two first layers in one matrix.

    Args:
        embed_dims: Channels C of the tokens.
        feedforward_channels: Channels of an ungated network of the same size; the gated one has two thirds of
            them, rounded up to a multiple of 8, as in DINOv2 (arXiv:2304.07193).
        layer_scale_init_value: First value of a factor per channel of the branch; 0 for no factor.
        dropout_layer: Config of the dropout of the whole branch.
        bias: Whether the linear layers have a bias.
    """

    def __init__(
        self,
        embed_dims: int,
        feedforward_channels: int,
        layer_scale_init_value: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        hidden = (int(feedforward_channels * 2 / 3) + 7) // 8 * 8
        self.w12 = nn.Linear(embed_dims, 2 * hidden, bias=bias)
        self.w3 = nn.Linear(hidden, embed_dims, bias=bias)
        self.gamma2 = scale_or_identity(embed_dims, layer_scale_init_value)
        self.dropout_layer = build_dropout(dropout_layer)

    def forward(self, tokens_nlc: Tensor, identity: Tensor | None = None) -> Tensor:
        """Apply the branch and add ``identity``, or the input itself if it is not given; shape ``(N, L, C)``."""
        gate_nlc, value_nlc = self.w12(tokens_nlc).chunk(2, dim=-1)
        out_nlc = self.dropout_layer(self.gamma2(self.w3(F.silu(gate_nlc) * value_nlc)))
        return (tokens_nlc if identity is None else identity) + out_nlc
