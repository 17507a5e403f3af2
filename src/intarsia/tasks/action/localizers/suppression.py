"""Segments that say the same are left out, or count less.

Shapes: n segments.
"""

from __future__ import annotations

import numpy as np

from intarsia.tasks.action.temporal_overlap import temporal_iou


def soft_nms(
    proposals: np.ndarray, alpha: float, low_threshold: float, high_threshold: float, top_k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the best segments one after the other, lowering the scores of those that overlap with each.

    "Soft-NMS -- Improving Object Detection With One Line of Code" (Bodla et al., 2017, arXiv:1704.04503), with the
    Gaussian decay and the threshold of "BSN: Boundary Sensitive Network for Temporal Action Proposal Generation" (Lin
    et al., 2018, arXiv:1806.02964): a score decays if the IoU is above ``low_threshold + (high_threshold -
    low_threshold) * length``, so that long segments may overlap more.

    Args:
        proposals: Begin, end (shares of the stream, 0 ... 1), anything, and the score in the last column, ``(N, C)``.
        alpha: A score is multiplied with ``exp(-IoU**2 / alpha)``.
        low_threshold: For short segments.
        high_threshold: For a segment as long as the stream.
        top_k: Most segments that are chosen.

    Returns:
        The chosen rows, at most ``top_k``, and their lowered scores, the best first.
    """
    start, end, score = (proposals[:, column].astype(np.float64) for column in (0, 1, -1))
    order = np.argsort(score)[::-1]
    start, end, score = start[order], end[order], score[order]
    chosen, lowered = [], []
    for _ in range(min(len(order), top_k)):
        best = int(np.argmax(score))
        chosen.append(order[best])
        lowered.append(score[best])
        iou_n = temporal_iou(start[best], end[best], start, end)
        limit = low_threshold + (high_threshold - low_threshold) * (end[best] - start[best])
        score = np.where(iou_n > limit, score * np.exp(-np.square(iou_n) / alpha), score)
        score[best] = -np.inf
    return np.array(chosen, np.int64), np.array(lowered)


def temporal_nms(detections: np.ndarray, threshold: float) -> np.ndarray:
    """The rows whose IoU with every better row that is kept is at most ``threshold``, the best first.

    Args:
        detections: Begin, end, score and anything else, ``(N, C)``.
        threshold: Greatest IoU of two rows that are kept.
    """
    start, end = detections[:, 0], detections[:, 1]
    order = np.argsort(detections[:, 2])[::-1]
    keep = []
    while order.size:
        best, others = order[0], order[1:]
        keep.append(best)
        order = others[temporal_iou(start[others], end[others], start[best], end[best]) <= threshold]
    return detections[keep]
