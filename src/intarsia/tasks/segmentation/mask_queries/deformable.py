"""Attention to a few places of maps of several resolutions.

Shape suffixes: n samples, l tokens, c channels, h height or heads, w width, s scales, p places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.init import xavier_init
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.tasks.segmentation.mask_queries.transformer import Encoder, EncoderLayer

Sizes = Sequence[tuple[int, int]]


class MultiScaleDeformableAttention(BaseModule):
    """Every token says where to look in each map, relative to its own place, and how much each of these counts.

    "Deformable DETR: Deformable Transformers for End-to-End Object Detection" (Zhu et al., 2020, arXiv:2010.04159).

    State keys: ``sampling_offsets``, ``attention_weights``, ``value_proj``, ``output_proj``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads; divides ``embed_dims``.
        num_levels: Number of maps S.
        num_points: Places P in each map.
        im2col_step: Of no account.
        dropout: Dropout of the result.
        batch_first: Must be True: samples come first.
        norm_cfg: Of no account.
        init_cfg: How weights are initialized.
        value_proj_ratio: Channels of values divided by C.

    Raises:
        ValueError: The channels are not a multiple of the heads, or samples do not come first.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        im2col_step: int = 64,
        dropout: float = 0.1,
        batch_first: bool = True,
        norm_cfg: Mapping[str, Any] | None = None,
        init_cfg: InitCfg = None,
        value_proj_ratio: float = 1.0,
    ) -> None:
        super().__init__(init_cfg)
        if embed_dims % num_heads or not batch_first:
            raise ValueError(
                f'MultiScaleDeformableAttention: embed_dims={embed_dims} must be a multiple of num_heads={num_heads}, '
                'and batch_first True'
            )
        self.embed_dims, self.num_heads = embed_dims, num_heads
        self.num_levels, self.num_points = num_levels, num_points
        num_places, width = num_heads * num_levels * num_points, int(embed_dims * value_proj_ratio)
        self.sampling_offsets = nn.Linear(embed_dims, num_places * 2)
        self.attention_weights = nn.Linear(embed_dims, num_places)
        self.value_proj = nn.Linear(embed_dims, width)
        self.output_proj = nn.Linear(width, embed_dims)
        self.dropout = nn.Dropout(dropout)

    def init_own_weights(self) -> None:
        """Each head looks in its own direction at first, the places farther and farther, all with equal weight."""
        angle_h = torch.arange(self.num_heads, dtype=torch.float32) * (2.0 * math.pi / self.num_heads)
        direction_h2 = torch.stack((angle_h.cos(), angle_h.sin()), dim=1)
        direction_h2 = direction_h2 / direction_h2.abs().amax(1, keepdim=True)
        far_p = torch.arange(1, self.num_points + 1)
        offset_hsp2 = direction_h2[:, None, None] * far_p[:, None].expand(self.num_levels, -1, 2)
        with torch.no_grad():
            self.sampling_offsets.weight.zero_()
            self.sampling_offsets.bias.copy_(offset_hsp2.flatten())
            self.attention_weights.weight.zero_()
            self.attention_weights.bias.zero_()
        xavier_init(self.value_proj, distribution='uniform')
        xavier_init(self.output_proj, distribution='uniform')

    def forward(self, tokens_nlc: Tensor, pos_nlc: Tensor, place_l2: Tensor, sizes: Sizes) -> Tensor:
        """Attend from all places of all maps to all maps; the result is added to the tokens.

        Args:
            tokens_nlc: The tokens of all maps, one map after the other.
            pos_nlc: Their positions, added to what places and weights are made of.
            place_l2: Where each token lies, (x, y) in 0 ... 1.
            sizes: (height, width) of each map.

        Returns:
            ``(N, L, C)``.
        """
        query_nlc = tokens_nlc + pos_nlc
        levels = (self.num_heads, self.num_levels, self.num_points)
        offset = self.sampling_offsets(query_nlc).unflatten(2, (*levels, 2))
        size_s2 = torch.tensor([(width, height) for height, width in sizes], device=offset.device)
        place = place_l2[:, None, None, None] + offset / size_s2[:, None]
        weight_nlhp = self.attention_weights(query_nlc).unflatten(2, (self.num_heads, -1)).softmax(-1)
        value_nlhc = self.value_proj(tokens_nlc).unflatten(2, (self.num_heads, -1))
        out_nlc = look(value_nlhc, sizes, place, weight_nlhp)
        return self.dropout(self.output_proj(out_nlc)) + tokens_nlc


def look(value_nlhc: Tensor, sizes: Sizes, place: Tensor, weight_nlhp: Tensor) -> Tensor:
    """Weighted means of values at places between the pixels of several maps.

    Args:
        value_nlhc: Values of all maps, one map after the other, for each head.
        sizes: (height, width) of each map.
        place: (x, y) in 0 ... 1 for each token, head, map and place ``(N, L, heads, S, P, 2)``.
        weight_nlhp: Weight of each place, ``(N, L, heads, S * P)``.

    Returns:
        ``(N, L, heads * C)``.
    """
    num, _, heads, _ = value_nlhc.shape
    grid = (2 * place - 1).transpose(1, 2).flatten(0, 1)
    seen = []
    maps = value_nlhc.split([height * width for height, width in sizes], dim=1)
    for level, (map_nlhc, size) in enumerate(zip(maps, sizes, strict=True)):
        map_mchw = map_nlhc.permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, size)
        seen.append(F.grid_sample(map_mchw, grid[:, :, level], align_corners=False))
    weight_m1lp = weight_nlhp.transpose(1, 2).flatten(0, 1)[:, None]
    out_mcl = (torch.cat(seen, dim=3) * weight_m1lp).sum(3)
    return out_mcl.unflatten(0, (num, heads)).flatten(1, 2).transpose(1, 2).contiguous()


class DeformableEncoderLayer(EncoderLayer):
    """As :class:`~intarsia.tasks.segmentation.mask_queries.transformer.EncoderLayer`, with deformable attention."""

    def make_attention(self, cfg: Mapping[str, Any]) -> MultiScaleDeformableAttention:
        """Make the attention."""
        return MultiScaleDeformableAttention(**cfg)


class DeformableEncoder(Encoder):
    """An encoder of :class:`DeformableEncoderLayer`."""

    layer_class = DeformableEncoderLayer
