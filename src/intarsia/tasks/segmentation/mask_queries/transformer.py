"""Transformers whose tokens know their positions.

Shape suffixes: n samples, l tokens, q queries, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.nn.drop import build_dropout
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer

LN: Mapping[str, Any] = {'type': 'LN'}
ATTENTION: Mapping[str, Any] = {'embed_dims': 256, 'num_heads': 8}
FEED_FORWARD: Mapping[str, Any] = {'embed_dims': 256, 'feedforward_channels': 1024, 'num_fcs': 2, 'ffn_drop': 0.0}


class SinePositionalEncoding(nn.Module):
    """Sines and cosines of rows and columns.

    "End-to-End Object Detection with Transformers" (DETR; Carion et al., 2020, arXiv:2005.12872).

    Args:
        num_feats: Half of the channels of an encoding.
        temperature: Longest wave divided by the shortest.
        normalize: Divide rows and columns by their number.
        scale: What they are multiplied by then.
        eps: Added to the number they are divided by.
        offset: Added to rows and columns before.
    """

    def __init__(
        self,
        num_feats: int,
        temperature: int = 10000,
        normalize: bool = False,
        scale: float = 2 * math.pi,
        eps: float = 1e-6,
        offset: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_feats, self.temperature, self.normalize = num_feats, temperature, normalize
        self.scale, self.eps, self.offset = scale, eps, offset

    def forward(self, map_nchw: Tensor) -> Tensor:
        """Encodings of the places of a map, ``(1, 2 * num_feats, H, W)``."""
        height, width = map_nchw.shape[2:]
        y_hc, x_wc = self._waves(height, map_nchw.device), self._waves(width, map_nchw.device)
        rows_hwc, columns_hwc = y_hc[:, None].expand(-1, width, -1), x_wc[None].expand(height, -1, -1)
        return torch.cat((rows_hwc, columns_hwc), dim=2).permute(2, 0, 1)[None]

    def _waves(self, number: int, device: torch.device) -> Tensor:
        """Sine and cosine in turns, ``(number, num_feats)``."""
        place_l = torch.arange(1, number + 1, dtype=torch.float32, device=device)
        if self.normalize:
            place_l = (place_l + self.offset) / (number + self.eps) * self.scale
        index_c = torch.arange(self.num_feats, dtype=torch.float32, device=device)
        angle_lc = place_l[:, None] / self.temperature ** (2 * (index_c // 2) / self.num_feats)
        return torch.stack((angle_lc[:, 0::2].sin(), angle_lc[:, 1::2].cos()), dim=2).flatten(1)


class PositionedAttention(BaseModule):
    """``nn.MultiheadAttention`` with positions added to queries and keys; the result is added to the queries.

    State keys: ``attn``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads; divides ``embed_dims``.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
        dropout_layer: Config of the dropout of the whole branch.
        batch_first: Must be True: samples come first.
        dropout: An older word for ``attn_drop``.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Samples do not come first.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = None,
        batch_first: bool = True,
        dropout: float = 0.0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if not batch_first:
            raise ValueError('PositionedAttention: batch_first must be True')
        self.embed_dims, self.num_heads = embed_dims, num_heads
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, attn_drop or dropout, batch_first=True)
        self.proj_drop = nn.Dropout(proj_drop)
        self.dropout_layer = build_dropout(dropout_layer)

    def forward(
        self,
        query_nqc: Tensor,
        query_pos_nqc: Tensor,
        value_nlc: Tensor | None = None,
        key_pos_nlc: Tensor | None = None,
        blocked: Tensor | None = None,
    ) -> Tensor:
        """Attend from queries to values.

        Args:
            query_nqc: Queries.
            query_pos_nqc: Their positions.
            value_nlc: What is attended to; the queries if not given.
            key_pos_nlc: Positions of that; of the queries if not given.
            blocked: Where a query may not look, bool ``(N * heads, Q, L)``.

        Returns:
            ``(N, Q, C)``.
        """
        value_nlc = query_nqc if value_nlc is None else value_nlc
        key_nlc = value_nlc + (query_pos_nqc if key_pos_nlc is None else key_pos_nlc)
        out_nqc = self.attn(query_nqc + query_pos_nqc, key_nlc, value_nlc, need_weights=False, attn_mask=blocked)[0]
        return query_nqc + self.dropout_layer(self.proj_drop(out_nqc))


class EncoderLayer(BaseModule):
    """Self-attention and a feed-forward network, each normalized.

    State keys: ``self_attn``, ``ffn``, ``norms``.

    Args:
        self_attn_cfg: Arguments of the attention.
        ffn_cfg: Arguments of :class:`~intarsia.nn.ffn.FFN`.
        norm_cfg: Config of the normalizations.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        self_attn_cfg: Mapping[str, Any] = ATTENTION,
        ffn_cfg: Mapping[str, Any] = FEED_FORWARD,
        norm_cfg: Mapping[str, Any] = LN,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.self_attn = self.make_attention(self_attn_cfg)
        self.embed_dims: int = self.self_attn.embed_dims
        self.ffn = FFN(**ffn_cfg)
        self.norms = ModuleList(build_norm_layer(norm_cfg, self.embed_dims)[1] for _ in range(2))

    def make_attention(self, cfg: Mapping[str, Any]) -> Any:
        """Make the attention."""
        return PositionedAttention(**cfg)

    def forward(self, tokens_nlc: Tensor, pos_nlc: Tensor, *where: Any) -> Tensor:
        """``(N, L, C)`` in and out; ``where`` is for attention that needs more than the positions."""
        tokens_nlc = self.norms[0](self.self_attn(tokens_nlc, pos_nlc, *where))
        return self.norms[1](self.ffn(tokens_nlc))


class Encoder(BaseModule):
    """Layers in a row.

    Args:
        num_layers: Number of layers.
        layer_cfg: Arguments of a layer.
        num_cp: Of no account.
        init_cfg: How weights are initialized.
    """

    layer_class: type[EncoderLayer] = EncoderLayer

    def __init__(
        self, num_layers: int, layer_cfg: Mapping[str, Any], num_cp: int = -1, init_cfg: InitCfg = None
    ) -> None:
        super().__init__(init_cfg)
        self.layers = ModuleList(self.layer_class(**layer_cfg) for _ in range(num_layers))
        self.embed_dims: int = self.layers[0].embed_dims  # type: ignore[assignment]

    def forward(self, tokens_nlc: Tensor, pos_nlc: Tensor, *where: Any) -> Tensor:
        """``(N, L, C)`` in and out."""
        for layer in self.layers:
            tokens_nlc = layer(tokens_nlc, pos_nlc, *where)
        return tokens_nlc


class DecoderLayer(BaseModule):
    """Queries attend to each other and to the tokens of a map, then a feed-forward network, each normalized.

    State keys: ``self_attn``, ``cross_attn``, ``ffn``, ``norms``.

    Args:
        self_attn_cfg: Arguments of :class:`PositionedAttention` between queries.
        cross_attn_cfg: Arguments of :class:`PositionedAttention` from queries to tokens.
        ffn_cfg: Arguments of :class:`~intarsia.nn.ffn.FFN`.
        norm_cfg: Config of the normalizations.
        init_cfg: How weights are initialized.
    """

    looks_first = False
    """Whether queries attend to tokens before they attend to each other."""

    def __init__(
        self,
        self_attn_cfg: Mapping[str, Any] = ATTENTION,
        cross_attn_cfg: Mapping[str, Any] = ATTENTION,
        ffn_cfg: Mapping[str, Any] = FEED_FORWARD,
        norm_cfg: Mapping[str, Any] = LN,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.self_attn = PositionedAttention(**self_attn_cfg)
        self.cross_attn = PositionedAttention(**cross_attn_cfg)
        self.embed_dims = self.self_attn.embed_dims
        self.ffn = FFN(**ffn_cfg)
        self.norms = ModuleList(build_norm_layer(norm_cfg, self.embed_dims)[1] for _ in range(3))

    def forward(
        self,
        query_nqc: Tensor,
        query_pos_nqc: Tensor,
        tokens_nlc: Tensor,
        pos_nlc: Tensor,
        blocked: Tensor | None = None,
    ) -> Tensor:
        """Queries ``(N, Q, C)`` in and out; arguments as :meth:`PositionedAttention.forward` has them."""
        if self.looks_first:
            query_nqc = self.norms[0](self.cross_attn(query_nqc, query_pos_nqc, tokens_nlc, pos_nlc, blocked))
            query_nqc = self.norms[1](self.self_attn(query_nqc, query_pos_nqc))
        else:
            query_nqc = self.norms[0](self.self_attn(query_nqc, query_pos_nqc))
            query_nqc = self.norms[1](self.cross_attn(query_nqc, query_pos_nqc, tokens_nlc, pos_nlc, blocked))
        return self.norms[2](self.ffn(query_nqc))


class LookingDecoderLayer(DecoderLayer):
    """As :class:`DecoderLayer`, but queries attend to tokens first."""

    looks_first = True


class Decoder(BaseModule):
    """Layers in a row, and a normalization of what comes out of each.

    State keys: ``layers``, ``post_norm``.

    Args:
        num_layers: Number of layers.
        layer_cfg: Arguments of a layer.
        post_norm_cfg: Config of the normalization.
        return_intermediate: Whether the results of all layers count, or the last alone.
        init_cfg: How weights are initialized.
    """

    layer_class: type[DecoderLayer] = DecoderLayer

    def __init__(
        self,
        num_layers: int,
        layer_cfg: Mapping[str, Any],
        post_norm_cfg: Mapping[str, Any] = LN,
        return_intermediate: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.return_intermediate = return_intermediate
        self.layers = ModuleList(self.layer_class(**layer_cfg) for _ in range(num_layers))
        self.embed_dims: int = self.layers[0].embed_dims  # type: ignore[assignment]
        self.post_norm = build_norm_layer(post_norm_cfg, self.embed_dims)[1]

    def forward(self, query_nqc: Tensor, query_pos_nqc: Tensor, tokens_nlc: Tensor, pos_nlc: Tensor) -> Tensor:
        """Queries after every layer, or the last one, ``(layers, N, Q, C)``."""
        outs = []
        for layer in self.layers:
            query_nqc = layer(query_nqc, query_pos_nqc, tokens_nlc, pos_nlc)
            outs.append(query_nqc)
        return self.post_norm(torch.stack(outs if self.return_intermediate else outs[-1:]))


class LookingDecoder(Decoder):
    """A decoder of :class:`LookingDecoderLayer`."""

    layer_class = LookingDecoderLayer
