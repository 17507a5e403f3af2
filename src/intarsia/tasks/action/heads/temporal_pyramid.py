"""Structured temporal pyramid pooling: a proposal as what is before, in and after it, each in parts.

"Temporal Action Detection with Structured Segment Networks" (Zhao et al., 2017, arXiv:1704.06228). Shapes: n proposals,
s segments of each (before, in and after), t positions of a stream, c channels, m parts of all stages.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from intarsia.core.registries import MODELS

Stage = int | Sequence[int]


@MODELS.register_module(name=['STPPTrain', 'STPPTest'])
class TemporalPyramid(nn.Module):
    """How the three stages of a proposal are divided into parts; the same for training and testing.

    Args:
        stpp_stage: For each stage the number of equal parts; several numbers divide it several times.
        num_segments_list: In training, segments of each stage.

    Raises:
        ValueError: There are not three stages.
    """

    def __init__(
        self, stpp_stage: Sequence[Stage] = (1, (1, 2), 1), num_segments_list: Sequence[int] = (2, 5, 2)
    ) -> None:
        super().__init__()
        if len(stpp_stage) != 3 or len(num_segments_list) != 3:
            raise ValueError(f'there are three stages, not {stpp_stage} with {num_segments_list} segments')
        self.stages = [(stage,) if isinstance(stage, int) else tuple(stage) for stage in stpp_stage]
        self.num_segments = tuple(num_segments_list)
        self.num_parts = sum(map(sum, self.stages))

    def pool_segments(self, feat_xc: Tensor, scale_n2: Tensor) -> tuple[Tensor, Tensor]:
        """Features of proposals from those of their segments.

        Args:
            feat_xc: Of all segments, ``(N * S, C)``.
            scale_n2: How much of the stages before and after lies within the stream.

        Returns:
            The mean of the middle stage ``(N, C)``, and the parts of all stages one after the other ``(N, M * C)``.
        """
        stages = feat_xc.view(-1, sum(self.num_segments), feat_xc.shape[1]).split(self.num_segments, dim=1)
        scales = (scale_n2[:, :1], None, scale_n2[:, 1:])
        parts = []
        for stage_nsc, divisions, scale_n1 in zip(stages, self.stages, scales, strict=True):
            for count in divisions:
                for low, high in _bounds(stage_nsc.shape[1], count):
                    part_nc = stage_nsc[:, low:high].mean(1) / sum(divisions)
                    parts.append(part_nc if scale_n1 is None else part_nc * scale_n1)
        return stages[1].mean(1), torch.cat(parts, dim=1)

    def pool_positions(self, score_tmk: Tensor, tick_n4: np.ndarray, scale_n2: np.ndarray) -> Tensor:
        """Scores of proposals ``(N, K)``: sums over all parts of the mean score of the positions within.

        Args:
            score_tmk: Of each position, if it lies in a part.
            tick_n4: The positions where stages begin, and where the last one ends.
            scale_n2: As in :meth:`pool_segments`.
        """
        ranges, weights = [], []
        for stage, divisions in enumerate(self.stages):
            low_n, high_n = tick_n4[:, stage], np.maximum(tick_n4[:, stage] + 1, tick_n4[:, stage + 1])
            is_within_n = (high_n > 0) & (low_n < len(score_tmk))
            weight_n = is_within_n * (scale_n2[:, 0], 1.0, scale_n2[:, 1])[stage]
            for count in divisions:
                steps = np.arange(count + 1) / count
                bound_nb = (low_n[:, None] + (high_n - low_n)[:, None] * steps).astype(np.int64)
                for part in range(count):
                    ranges.append(bound_nb[:, part : part + 2])
                    weights.append(weight_n)
        mean_nmk = mean_of_ranges(score_tmk, np.stack(ranges, 1))
        weight_nm = torch.as_tensor(np.stack(weights, 1), dtype=mean_nmk.dtype, device=mean_nmk.device)
        return (mean_nmk * weight_nm[..., None]).sum(1).to(score_tmk.dtype)


def mean_of_ranges(score_tmk: Tensor, range_nm2: np.ndarray) -> Tensor:
    """Means over ranges of positions, float64 ``(N, M, K)``; 0 where a range is empty.

    Args:
        score_tmk: Scores of positions for each of M parts.
        range_nm2: The first position, and the one behind the last, of each proposal and part.
    """
    sum_tmk = nn.functional.pad(score_tmk.double().cumsum(0), (0, 0, 0, 0, 1, 0))
    low_nm, high_nm = torch.as_tensor(range_nm2.clip(0, len(score_tmk)), device=score_tmk.device).long().unbind(-1)
    part_m = torch.arange(score_tmk.shape[1], device=score_tmk.device)
    total_nmk = sum_tmk[high_nm, part_m] - sum_tmk[low_nm, part_m]
    return total_nmk / (high_nm - low_nm).clamp(min=1)[..., None]


def _bounds(length: int, count: int) -> list[tuple[int, int]]:
    """First and last of each of ``count`` equal parts, rounded down."""
    places = [int(length * number / count) for number in range(count + 1)]
    return list(itertools.pairwise(places))
