"""How well segments that were found match true ones: recall by the number of proposals, and average precision.

Shapes: m found segments, n true ones, h thresholds of the IoU, s steps of the number of proposals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from intarsia.tasks.action.temporal_overlap import pairwise_temporal_iou

STEPS = 100
"""Numbers of proposals at which recall is looked at."""


class Recall(NamedTuple):
    """Recall of true segments.

    Attributes:
        by_threshold: ``(H, S)``, 0 ... 1.
        average: Mean over thresholds, ``(S,)``.
        proposals: Mean number of proposals of a stream at each step, ``(S,)``.
        auc: Area below the averages, divided by the last number of proposals, in percent.
    """

    by_threshold: np.ndarray
    average: np.ndarray
    proposals: np.ndarray
    auc: float


def average_recall(
    true: Mapping[str, np.ndarray],
    found: Mapping[str, np.ndarray],
    thresholds: np.ndarray,
    max_avg_proposals: float | None = None,
    total_num_proposals: int | None = None,
) -> Recall:
    """Recall over the mean number of proposals of a stream, the protocol of ActivityNet's proposal task.

    The same part of the proposals of each stream counts, the best first. The area runs from the first step on.

    Args:
        true: Segments ``(n, 2)`` of each stream.
        found: Segments and scores ``(m, 3)`` of each.
        thresholds: ``(H,)``: a true segment is found if a proposal has at least this IoU.
        max_avg_proposals: Greatest mean number of proposals; None for as many as there are.
        total_num_proposals: Proposals of all streams; None counts them.
    """
    total = sum(map(len, found.values())) if total_num_proposals is None else total_num_proposals
    asked = max_avg_proposals or total / len(true)
    ratio = asked * len(true) / total if total else 0.0
    num_kept = {name: min(int(len(found[name]) * ratio), len(found[name])) for name in true}
    num_retrieved = sum(num_kept.values())
    steps = np.arange(1, STEPS + 1) / 100
    shares = steps * (asked * len(true) / num_retrieved) if num_retrieved else steps
    hits = np.zeros((len(thresholds), STEPS))
    for name, segments in true.items():
        kept = num_kept[name]
        if kept:
            order = np.argsort(found[name][:, 2])[::-1][:kept]
            iou_nm = pairwise_temporal_iou(found[name][order, :2].astype(np.float32), segments.astype(np.float32))
            is_hit_hnm = iou_nm >= thresholds[:, None, None]
            first_hn = np.where(is_hit_hnm.any(2), is_hit_hnm.argmax(2), kept)
            number_s = np.minimum((kept * shares).astype(int), kept)
            hits += (first_hn[:, :, None] < number_s).sum(1)
    recall_hs = hits / max(sum(map(len, true.values())), 1)
    average_s = recall_hs.mean(0)
    proposals_s = shares * num_retrieved / len(true)
    area = float(((average_s[1:] + average_s[:-1]) / 2 * np.diff(proposals_s)).sum())
    return Recall(recall_hs, average_s, proposals_s, 100 * area / proposals_s[-1] if num_retrieved else 0.0)


def average_precision(
    true: Mapping[str, np.ndarray],
    videos: Sequence[str],
    found_m3: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Interpolated average precision of one class, ``(H,)``: the protocol of ActivityNet and THUMOS14.

    A segment is right if it has at least a threshold's IoU with a true segment that no better one has taken; of those
    it takes the one it overlaps with most.

    Args:
        true: Segments ``(n, 2)`` of each stream that has any.
        videos: The stream of each found segment.
        found_m3: Begin, end and score.
        thresholds: Of the IoU.
    """
    is_taken = {name: np.zeros((len(thresholds), len(segments)), bool) for name, segments in true.items()}
    is_right_hm = np.zeros((len(thresholds), len(found_m3)), bool)
    for place, row in enumerate(np.argsort(-found_m3[:, 2], kind='stable')):
        taken_hn = is_taken.get(videos[row])
        if taken_hn is None or not taken_hn.size:
            continue
        iou_n = pairwise_temporal_iou(found_m3[row : row + 1, :2], true[videos[row]])[:, 0]
        iou_hn = np.where((iou_n >= thresholds[:, None]) & ~taken_hn, iou_n, -1.0)
        best_h, right_h = iou_hn.argmax(1), (iou_hn >= 0).any(1)
        taken_hn[right_h, best_h[right_h]] = True
        is_right_hm[:, place] = right_h
    num_right_hm = is_right_hm.cumsum(1)
    precision_hm = num_right_hm / np.arange(1, len(found_m3) + 1)
    recall_hm = num_right_hm / max(sum(map(len, true.values())), 1)
    return np.array([interpolated_precision_recall(*row) for row in zip(precision_hm, recall_hm, strict=True)])


def interpolated_precision_recall(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area below the greatest precision at each recall or a higher one, as of the VOC challenge of 2011."""
    height = np.maximum.accumulate(np.concatenate([precision, [0.0]])[::-1])[::-1]
    return float((np.diff(np.concatenate([[0.0], recall, [1.0]])) * height).sum())
