"""How far joints are from where they should be, and what is said of that.

Shapes: n people, k joints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def normalized_distances(
    pred_nk2: np.ndarray, true_nk2: np.ndarray, mask_nk: np.ndarray, normalize_n2: np.ndarray
) -> Array:
    """Distances in units of a size of each person.

    Args:
        pred_nk2: Found joints.
        true_nk2: Where they are.
        mask_nk: Which of them count.
        normalize_n2: The unit, in x and y; people whose unit is 0 do not count, one below 0 makes any distance small.

    Returns:
        float64 ``(N, K)``, NaN where a joint does not count, infinite where what was found is not a number.
    """
    normalize = np.asarray(normalize_n2, np.float64)
    counts_nk = np.asarray(mask_nk, bool) & ~(normalize == 0).any(1)[:, None]
    unit_n12 = np.where(normalize <= 0, 1e6, normalize)[:, None]
    distance_nk = np.linalg.norm((np.asarray(pred_nk2, np.float64) - true_nk2) / unit_n12, axis=-1)
    return np.where(counts_nk, np.nan_to_num(distance_nk, nan=np.inf, posinf=np.inf), np.nan)


def keypoint_pck_accuracy(
    pred_nk2: np.ndarray, true_nk2: np.ndarray, mask_nk: np.ndarray, thr: float, normalize_n2: np.ndarray
) -> tuple[Array, float, int]:
    """Part of joints that are nearer to the truth than ``thr`` units (PCK).

    "Articulated Human Detection with Flexible Mixtures of Parts" (Yang and Ramanan, 2013).

    Args:
        pred_nk2: Found joints.
        true_nk2: Where they are.
        mask_nk: Which of them count.
        thr: Distance that is just too far.
        normalize_n2: The unit of each person.

    Returns:
        The part for each joint ``(K,)``, -1 for one that nobody has; the mean over the others; and their number.
    """
    return pck_of(normalized_distances(pred_nk2, true_nk2, mask_nk, normalize_n2), thr)


def pck_of(distance_nk: Array, thr: float) -> tuple[Array, float, int]:
    """As :func:`keypoint_pck_accuracy`, of distances that are NaN where a joint does not count."""
    counts_nk = ~np.isnan(distance_nk)
    count_k, near_k = counts_nk.sum(0), (distance_nk < thr).sum(0)
    part_k = np.where(count_k > 0, near_k / np.maximum(count_k, 1), -1.0)
    has_k = count_k > 0
    return part_k, float(part_k[has_k].mean()) if has_k.any() else 0.0, int(has_k.sum())


def keypoint_auc(
    pred_nk2: np.ndarray, true_nk2: np.ndarray, mask_nk: np.ndarray, normalize: float, num_step: int = 20
) -> float:
    """Mean PCK of the thresholds 0, 1 / ``num_step``, ... below 1, in units of ``normalize`` pixels.

    As thresholds are strict and begin with 0, a perfect result is ``1 - 1 / num_step``.
    """
    unit_n2 = np.full((len(pred_nk2), 2), normalize, np.float64)
    distance_nk = normalized_distances(pred_nk2, true_nk2, mask_nk, unit_n2)
    return float(np.sum([pck_of(distance_nk, i / num_step)[1] / num_step for i in range(num_step)]))


def keypoint_nme(pred_nk2: np.ndarray, true_nk2: np.ndarray, mask_nk: np.ndarray, normalize_n2: np.ndarray) -> float:
    """Mean distance in units of each person; 0 if no joint counts."""
    distance_nk = normalized_distances(pred_nk2, true_nk2, mask_nk, normalize_n2)
    known = distance_nk[~np.isnan(distance_nk)]
    return float(known.sum() / max(1, len(known)))


def keypoint_epe(pred_nk2: np.ndarray, true_nk2: np.ndarray, mask_nk: np.ndarray) -> float:
    """Mean distance in pixels (end-point error); 0 if no joint counts."""
    return keypoint_nme(pred_nk2, true_nk2, mask_nk, np.ones((len(pred_nk2), 2)))
