"""From scores of positions to proposed segments, and from those to results.

"BSN: Boundary Sensitive Network for Temporal Action Proposal Generation" (Lin et al., 2018, arXiv:1806.02964).

Times are shares of the stream, 0 ... 1. Shapes: t positions, p proposals, n true segments, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from intarsia.tasks.action.localizers.suppression import soft_nms
from intarsia.tasks.action.temporal_overlap import temporal_iop, temporal_iou

COLUMNS = ('tmin', 'tmax', 'tmin_score', 'tmax_score', 'score', 'match_iou', 'match_ioa')
"""Of a file of proposals: begin, end, their scores, the product, greatest IoU and IoP with a true segment."""
POSITION_COLUMNS = ('action', 'start', 'end', 'tmin', 'tmax')
"""Of a file of positions: three scores, begin and end."""
CLASSES_OF_A_SEGMENT = 2
"""The second guess is often right where the first is not, and average precision takes it."""


def likely_boundaries(score_t: np.ndarray, peak_threshold: float = 0.5) -> np.ndarray:
    """Inner positions that are a peak, or above a part of the greatest score; bool ``(T,)``."""
    found_t = score_t > peak_threshold * score_t.max()
    found_t[1:-1] |= (score_t[1:-1] > score_t[:-2]) & (score_t[1:-1] > score_t[2:])
    found_t[[0, -1]] = False
    return found_t


def candidate_proposals(position_tc: np.ndarray, peak_threshold: float = 0.5) -> np.ndarray:
    """All segments from a likely begin to a later likely end; those of the stream count as both.

    Args:
        position_tc: Scores of positions, columns as :data:`POSITION_COLUMNS`; further ones are ignored.
        peak_threshold: See :func:`likely_boundaries`.

    Returns:
        The first five of :data:`COLUMNS`, ``(P, 5)``, the greatest product first.
    """
    begins, ends = (_with_borders(likely_boundaries(position_tc[:, column], peak_threshold)) for column in (1, 2))
    end_p, begin_p = (each.reshape(-1) for each in np.meshgrid(ends, begins, indexing='ij'))
    end_p, begin_p = end_p[begin_p < end_p], begin_p[begin_p < end_p]
    gap = 1 / len(position_tc)
    begin_score_p, end_score_p = position_tc[begin_p, 1], position_tc[end_p, 2]
    times_p2 = gap / 2 + gap * np.stack([begin_p, end_p], 1)
    found_p5 = np.column_stack([times_p2, begin_score_p, end_score_p, begin_score_p * end_score_p])
    return found_p5[np.argsort(found_p5[:, 4])[::-1]]


def _with_borders(found_t: np.ndarray) -> np.ndarray:
    found_t[[0, -1]] = True
    return np.flatnonzero(found_t)


def with_truth(proposal_pc: np.ndarray, true_n2: np.ndarray) -> np.ndarray:
    """Proposals with two more columns: the greatest IoU and IoP with a true segment, 0 if there is none."""
    begin_p1, end_p1 = proposal_pc[:, :1], proposal_pc[:, 1:2]
    columns = [
        overlap(begin_p1, end_p1, true_n2[None, :, 0], true_n2[None, :, 1]).max(1, initial=0)
        for overlap in (temporal_iou, temporal_iop)
    ]
    return np.column_stack([proposal_pc, *columns])


class Sampling(NamedTuple):
    """How features of proposals are sampled; arguments as ``pgm_features_*_cfg`` of configs has them.

    Attributes:
        top_k: Most proposals of a stream.
        num_sample_start: Samples around the begin.
        num_sample_end: Samples around the end.
        num_sample_action: Samples from begin to end.
        num_sample_interp: Each sample is the mean of one more places than this.
        bsp_boundary_ratio: How far around means, as a part of the length.
    """

    top_k: int = 1000
    num_sample_start: int = 8
    num_sample_end: int = 8
    num_sample_action: int = 16
    num_sample_interp: int = 3
    bsp_boundary_ratio: float = 0.2


def bsp_features(position_tc: np.ndarray, proposal_pc: np.ndarray, sampling: Sampling = Sampling()) -> np.ndarray:  # noqa: B008
    """Boundary-sensitive features: scores of action within, around the begin and around the end of proposals.

    Args:
        position_tc: Scores of positions, columns as :data:`POSITION_COLUMNS`.
        proposal_pc: Proposals: begin and end in the first columns, the best first.
        sampling: How they are sampled.

    Returns:
        Float64 ``(P, 32)`` with the usual numbers of samples; P at most ``top_k``.
    """
    num_positions = len(position_tc)
    gap = position_tc[0, 4] - position_tc[0, 3]
    margin = int(num_positions / 4 + 10)
    score = np.pad(position_tc[:, 0], margin)
    after = position_tc[-1, 4] + gap / 2 + gap * np.arange(margin)
    place = np.concatenate([gap / 2 + gap * np.arange(-margin, num_positions), after])
    begin_p, end_p = proposal_pc[: sampling.top_k, :2].T
    around_p = (end_p - begin_p) * sampling.bsp_boundary_ratio
    regions = (
        (begin_p, end_p, sampling.num_sample_action),
        (begin_p - around_p, begin_p + around_p, sampling.num_sample_start),
        (end_p - around_p, end_p + around_p, sampling.num_sample_end),
    )
    return np.concatenate([_sampled(*region, sampling.num_sample_interp, place, score) for region in regions], axis=1)


def _sampled(
    low_p: np.ndarray, high_p: np.ndarray, count: int, num_places: int, place: np.ndarray, score: np.ndarray
) -> np.ndarray:
    """``count`` samples of a score from ``low`` to ``high``, each the mean of ``num_places + 1`` places."""
    step_p1 = ((high_p - low_p) / (count - 1))[:, None]
    where_pk = low_p[:, None] - step_p1 / 2 + step_p1 / num_places * np.arange(count * num_places + 1)
    value_pk = np.interp(where_pk, place, score)
    windows = np.lib.stride_tricks.sliding_window_view(value_pk, num_places + 1, axis=1)[:, ::num_places]
    return windows.mean(axis=2)


def mean_class_scores(score_tc: np.ndarray, segment_p2: np.ndarray) -> np.ndarray:
    """Mean scores of the positions in each segment, ``(P, C)``; of the nearest position if there is none."""
    num_positions = len(score_tc)
    begin_p = np.clip(np.round(segment_p2[:, 0] * num_positions).astype(int), 0, num_positions - 1)
    end_p = np.clip(np.round(segment_p2[:, 1] * num_positions).astype(int), begin_p + 1, num_positions)
    sum_tc = np.pad(score_tc.cumsum(0, dtype=np.float64), ((1, 0), (0, 0)))
    return (sum_tc[end_p] - sum_tc[begin_p]) / (end_p - begin_p)[:, None]


def with_classes(
    segment_p2: np.ndarray, score_p: np.ndarray, class_pk: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each segment once for each of its likeliest classes, by whose probability its score is multiplied.

    Args:
        segment_p2: Segments.
        score_p: Their scores.
        class_pk: Probabilities of their classes.

    Returns:
        Segments ``(D, 2)``, scores ``(D,)`` and labels int64 ``(D,)``, the best first.
    """
    label_pm = np.argsort(-class_pk, axis=1, kind='stable')[:, :CLASSES_OF_A_SEGMENT]
    score_d = (score_p[:, None] * np.take_along_axis(class_pk, label_pm, 1)).reshape(-1)
    order = np.argsort(-score_d, kind='stable')
    return segment_p2[order // label_pm.shape[1]], score_d[order], label_pm.reshape(-1)[order]


class PostProcess(NamedTuple):
    """How proposals become results: arguments of localizers.

    Attributes:
        soft_nms_alpha: See :func:`~intarsia.tasks.action.localizers.suppression.soft_nms`.
        soft_nms_low_threshold: As there.
        soft_nms_high_threshold: As there.
        post_process_top_k: Most segments of a result.
        feature_extraction_interval: Frames between two features: what is left of a stream behind the last of them is
            not covered.
    """

    soft_nms_alpha: float
    soft_nms_low_threshold: float
    soft_nms_high_threshold: float
    post_process_top_k: int
    feature_extraction_interval: int = 16

    def __call__(self, proposal_pc: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The chosen rows, their segments ``(P, 2)`` within the stream, and their scores ``(P,)``, the best first.

        Args:
            proposal_pc: Begin, end, anything, and the score in the last column.
        """
        rows, scores = soft_nms(proposal_pc, *self[:4])
        return rows, proposal_pc[rows, :2].clip(0, 1).astype(np.float64), scores

    def seconds(self, meta: Mapping[str, Any]) -> float | None:
        """How many seconds the features of a stream cover; None if the length is not known.

        Args:
            meta: ``duration_second`` and ``duration_frame`` of the stream.
        """
        if 'duration_second' not in meta:
            return None
        frames = meta.get('duration_frame')
        covered = (
            frames // self.feature_extraction_interval * self.feature_extraction_interval / frames if frames else 1
        )
        return float(covered * meta['duration_second'])
