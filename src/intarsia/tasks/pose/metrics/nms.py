"""Which boxes and poses are kept of those that overlap.

Shapes: n people, k joints.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def nms(dets: np.ndarray, thr: float) -> list[int]:
    """Which boxes are kept, the best first: those that overlap with all better ones by at most ``thr``.

    Args:
        dets: Left, top, right, bottom, all of them pixels inside, and score, ``(N, 5)``.
        thr: Greatest quotient of intersection and union.

    Returns:
        Indices.
    """
    low_n2, high_n2 = dets[:, :2], dets[:, 2:4] + 1
    area_n = (high_n2 - low_n2).prod(1)
    order = np.argsort(dets[:, 4])[::-1]
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        size_n2 = np.minimum(high_n2[best], high_n2[order]) - np.maximum(low_n2[best], low_n2[order])
        common_n = np.maximum(size_n2, 0).prod(1)
        order = order[common_n / (area_n[best] + area_n[order] - common_n) <= thr]
    return kept


def nms_groups(boxes_n4: Tensor, score_n: Tensor, thr: float = 0.65) -> list[Tensor]:
    """Boxes in groups, the best group first: each has a box and those that overlap with it by more than ``thr``.

    Args:
        boxes_n4: Left, top, right, bottom.
        score_n: How good they are.
        thr: Quotient of intersection and union that is too great.

    Returns:
        Indices of each group, int64, the box first.
    """
    low_n2, high_n2 = boxes_n4[:, :2], boxes_n4[:, 2:]
    common_nn = (
        (torch.minimum(high_n2[:, None], high_n2) - torch.maximum(low_n2[:, None], low_n2)).clamp(min=0).prod(-1)
    )
    area_n = (high_n2 - low_n2).prod(-1)
    overlaps_nn = common_nn > thr * (area_n[:, None] + area_n - common_nn).clamp(min=1e-6)
    order = score_n.argsort(descending=True)
    groups: list[Tensor] = []
    while len(order):
        best, order = order[:1], order[1:]
        is_same = overlaps_nn[best[0], order]
        groups.append(torch.cat([best, order[is_same]]))
        order = order[~is_same]
    return groups


def nearby_joints_nms(
    people_nk2: np.ndarray,
    score_n: np.ndarray,
    dist_thr: float = 0.05,
    num_nearby_joints_thr: int | None = None,
    max_dets: int = 30,
) -> np.ndarray:
    """Which people are kept, the best first: of those that share most joints, one.

    "Bottom-Up Human Pose Estimation Via Disentangled Keypoint Regression" (Geng et al., 2021, arXiv:2104.02300).

    Args:
        people_nk2: Joints.
        score_n: How good each person is.
        dist_thr: Joints nearer than this, in units of the diagonal of the first person, are shared.
        num_nearby_joints_thr: With more shared joints, two are one; half of them if None.
        max_dets: How many are kept at most; all if not positive.

    Returns:
        Indices.

    Raises:
        ValueError: ``dist_thr`` is not positive, or no two people can share enough joints.
    """
    if dist_thr <= 0:
        raise ValueError(f'dist_thr is positive, not {dist_thr}')
    if not len(people_nk2):
        return np.zeros(0, np.intp)
    num_joints = people_nk2.shape[1]
    enough = num_joints // 2 if num_nearby_joints_thr is None else num_nearby_joints_thr
    if enough >= num_joints:
        raise ValueError(f'num_nearby_joints_thr={enough}, but there are {num_joints} joints')
    diagonal_n = np.linalg.norm(np.ptp(people_nk2, axis=1), axis=1)
    distance_nnk = np.linalg.norm(people_nk2[:, None] - people_nk2, axis=-1)
    is_same_nn = (distance_nnk < dist_thr * diagonal_n[:, None, None]).sum(-1) > enough
    is_gone_n = np.zeros(len(people_nk2), bool)
    kept = []
    for i in np.argsort(score_n)[::-1]:
        if is_gone_n[i]:
            continue
        # likeness is not mutual: the best of those that are like i may have been left out with another
        group = np.flatnonzero(is_same_nn[i])
        best = group[np.argmax(score_n[group])]
        if not is_gone_n[best]:
            kept.append(best)
            is_gone_n[group] = True
    if 0 < max_dets < len(kept):
        kept = sorted(kept, key=lambda i: -score_n[i])[:max_dets]
    return np.array(kept, np.intp)
