"""The boundary-matching layer: features of all segments of a stream at once, by sampling along each.

"BMN: Boundary-Matching Network for Temporal Action Proposal Generation" (Lin et al., 2019, arXiv:1907.09702). The layer
is followed by a convolution over the samples of each segment. Both are linear, so they may change places: the features
of the T positions are projected first, for each of the N samples, and only then sampled for the T * T segments. The
result is the same but for rounding, and samples of segments are never stored, of which there are T * T * N times C.

Shapes: b streams, t positions (begins of segments), d lengths of segments (as many), n samples of each, c channels, o
channels of the convolution.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def sample_table(temporal_dim: int, num_samples: int, num_samples_per_bin: int, boundary_ratio: float) -> Tensor:
    """Weights of positions in samples of segments, float32 ``(T, N * D * T)``.

    The segment of begin t and length d + 1, widened by ``boundary_ratio`` of its length at both ends, is sampled at
    ``num_samples * num_samples_per_bin`` places, linearly between positions; the mean of those of a bin is one sample.
    Outside the stream is 0, but between -1 and 0 position 0 counts fully: trained weights expect this.
    """
    begin_p, length_p = np.nonzero(np.add.outer(np.arange(temporal_dim), np.arange(temporal_dim)) < temporal_dim)
    margin_p = (length_p + 1.0) * boundary_ratio
    low_p, high_p = begin_p - margin_p, begin_p + length_p + margin_p
    num_places = num_samples * num_samples_per_bin
    place_pk = low_p[:, None] + ((high_p - low_p) / (num_places - 1.0))[:, None] * np.arange(num_places)
    fraction_pk, whole_pk = np.modf(place_pk)  # both have the sign of the place
    bin_k = np.arange(num_places) // num_samples_per_bin
    column_pk = (bin_k * temporal_dim + length_p[:, None]) * temporal_dim + begin_p[:, None]
    position_pk2 = np.stack([whole_pk, np.ceil(place_pk)], -1).astype(np.int64)
    weight_pk2 = np.stack([1 - fraction_pk, fraction_pk], -1)
    inside = (position_pk2 >= 0) & (position_pk2 < temporal_dim)
    size = num_samples * temporal_dim**2
    entry, order = np.unique((position_pk2 * size + column_pk[..., None])[inside], return_inverse=True)
    table = np.zeros(temporal_dim * size, np.float32)
    table[entry] = 1.0 / num_samples_per_bin * np.bincount(order, weight_pk2[inside])
    return torch.tensor(table).view(temporal_dim, size)


def valid_segments(temporal_dim: int) -> Tensor:
    """Which segments end within the stream, float32 ``(D, T)`` of 0 and 1."""
    return torch.ones(temporal_dim, temporal_dim).tril().flip(0)


class Bags(NamedTuple):
    """A sparse matrix by rows: what ``embedding_bag`` takes.

    Attributes:
        offset: Where the entries of each row begin, int64.
        column: Of each entry, int64.
        weight: Of each entry, float32.
    """

    offset: Tensor
    column: Tensor
    weight: Tensor

    @classmethod
    def of(cls, row: Tensor, column: Tensor, weight: Tensor, num_rows: int) -> Bags:
        """From entries in any order."""
        order = torch.argsort(row, stable=True)
        count = torch.bincount(row, minlength=num_rows)
        return cls(count.cumsum(0) - count, column[order].contiguous(), weight[order].contiguous())

    def times(self, dense_xo: Tensor) -> Tensor:
        """The product with a dense matrix ``(columns, O)``: ``(rows, O)``."""
        return functional.embedding_bag(
            self.column, dense_xo, self.offset, mode='sum', per_sample_weights=self.weight.to(dense_xo.dtype)
        )


class SparseTable(NamedTuple):
    """A table of :func:`sample_table` without its zeros, as matrix of segments by projected positions, and transposed.

    Attributes:
        matrix: ``(D * T, N * T)``.
        transposed: ``(N * T, D * T)``.
    """

    matrix: Bags
    transposed: Bags

    @classmethod
    def of(cls, table: Tensor, num_samples: int) -> SparseTable:
        """From the dense table ``(T, N * D * T)``, of whatever origin."""
        temporal_dim = len(table)
        num_segments, num_places = temporal_dim**2, num_samples * temporal_dim
        position, column = table.nonzero(as_tuple=True)
        weight = table[position, column].float()
        place = column // num_segments * temporal_dim + position
        segment = column % num_segments
        return cls(Bags.of(segment, place, weight, num_segments), Bags.of(place, segment, weight, num_places))


class _Sample(torch.autograd.Function):
    """The product of a sparse table and a dense matrix; its gradient is the product with the transposed table."""

    @staticmethod
    def forward(ctx: Any, place_xo: Tensor, table: SparseTable) -> Tensor:
        ctx.table = table
        return table.matrix.times(place_xo)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.table.transposed.times(gradients[0].contiguous()), None


def match_boundaries(feat_bct: Tensor, weight_ocn: Tensor, table: SparseTable) -> Tensor:
    """Sample features along all segments, and convolve over the samples: ``(B, O, D, T)``, channels last in memory.

    Args:
        feat_bct: Features of positions.
        weight_ocn: Weights of the convolution; its bias is for the caller.
        table: Where segments are sampled.
    """
    weight_nco = weight_ocn.permute(2, 1, 0)
    segments = []
    for feat_ct in feat_bct:
        place_nto = torch.matmul(feat_ct.t(), weight_nco)
        segments.append(_Sample.apply(place_nto.flatten(0, 1).float(), table))
    temporal_dim = feat_bct.shape[2]
    return torch.stack(segments).unflatten(1, (temporal_dim, temporal_dim)).permute(0, 3, 1, 2)
