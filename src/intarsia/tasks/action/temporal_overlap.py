"""How much segments of time overlap. A segment is its begin and its end, in any one unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def intersection(min_a: ArrayLike, max_a: ArrayLike, min_b: ArrayLike, max_b: ArrayLike) -> np.ndarray:
    """Length of what two segments share, 0 if nothing; shapes are broadcast."""
    return np.maximum(np.minimum(max_a, max_b) - np.maximum(min_a, min_b), 0.0)


def temporal_iou(proposal_min: ArrayLike, proposal_max: ArrayLike, gt_min: ArrayLike, gt_max: ArrayLike) -> np.ndarray:
    """Intersection over union, 0 ... 1; shapes are broadcast. Two empty segments have NaN."""
    shared = intersection(proposal_min, proposal_max, gt_min, gt_max)
    union = np.subtract(proposal_max, proposal_min) - shared + gt_max - np.asarray(gt_min)
    return np.divide(shared, union)


def temporal_iop(proposal_min: ArrayLike, proposal_max: ArrayLike, gt_min: ArrayLike, gt_max: ArrayLike) -> np.ndarray:
    """Intersection over the length of the proposal, 0 ... 1; shapes are broadcast."""
    shared = intersection(proposal_min, proposal_max, gt_min, gt_max)
    return np.divide(shared, np.subtract(proposal_max, proposal_min))


def pairwise_temporal_iou(candidate_m2: np.ndarray, target_n2: np.ndarray) -> np.ndarray:
    """IoU of each target with each candidate, float32 ``(N, M)``; 0 where both are empty.

    Args:
        candidate_m2: Segments ``(M, 2)``.
        target_n2: Segments ``(N, 2)``.
    """
    target_n12 = target_n2[:, None]
    with np.errstate(invalid='ignore'):
        iou_nm = temporal_iou(candidate_m2[:, 0], candidate_m2[:, 1], target_n12[..., 0], target_n12[..., 1])
    return np.nan_to_num(iou_nm).astype(np.float32)
