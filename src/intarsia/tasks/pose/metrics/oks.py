"""Object keypoint similarity (OKS), and what it says of people found twice.

Shapes: n, d people, k joints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TINY = float(np.spacing(1))
COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
    0.089,
)  # fmt: skip
"""How exactly people place the joints of COCO, in units of the root of a person's area."""


def oks_iou(
    one_k3: np.ndarray,
    others_nk3: np.ndarray,
    area: float,
    areas_n: np.ndarray,
    sigmas: Sequence[float] | None = None,
    vis_thr: float | None = None,
) -> np.ndarray:
    """OKS of one person with others.

    "Microsoft COCO: Common Objects in Context" (Lin et al., 2014, arXiv:1405.0312).

    Args:
        one_k3: Joints of the person: x, y, score.
        others_nk3: Those of the others.
        area: The area of the person, in pixels.
        areas_n: Those of the others.
        sigmas: How exactly people place each joint; None for COCO's.
        vis_thr: Only joints of the others with a score above this count; None for all.

    Returns:
        float32 ``(N,)``, 0 ... 1; 0 where no joint counts.
    """
    one_k3, others_nk3 = np.asarray(one_k3), np.asarray(others_nk3).reshape(-1, *np.shape(one_k3))
    variance_k = (np.array(COCO_SIGMAS if sigmas is None else sigmas) * 2) ** 2
    squared_nk = ((others_nk3[..., :2] - one_k3[:, :2]) ** 2).sum(-1)
    mean_area_n1 = ((area + np.asarray(areas_n)) / 2 + TINY)[:, None]
    similarity_nk = np.exp(-squared_nk / variance_k / mean_area_n1 / 2)
    counts_nk = np.ones(similarity_nk.shape, bool) if vis_thr is None else others_nk3[..., 2] > vis_thr
    count_n = counts_nk.sum(1)
    return ((similarity_nk * counts_nk).sum(1) / np.maximum(count_n, 1)).astype(np.float32)


def oks_nms(
    people_nk3: np.ndarray,
    score_n: np.ndarray,
    area_n: np.ndarray,
    thr: float,
    sigmas: Sequence[float] | None = None,
    vis_thr: float | None = None,
) -> np.ndarray:
    """Which people are kept, the best first: those whose OKS with all better ones is at most ``thr``.

    Args:
        people_nk3: Joints: x, y, score.
        score_n: How good each person is.
        area_n: Their areas, in pixels.
        thr: Greatest OKS.
        sigmas: As of :func:`oks_iou`.
        vis_thr: As of :func:`oks_iou`.

    Returns:
        Indices.
    """
    order = np.argsort(score_n)[::-1]
    kept: list[int] = []
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        overlap = oks_iou(people_nk3[best], people_nk3[rest], area_n[best], area_n[rest], sigmas, vis_thr)
        order = rest[overlap <= thr]
    return np.array(kept, np.intp)


def soft_oks_nms(
    people_nk3: np.ndarray,
    score_n: np.ndarray,
    area_n: np.ndarray,
    thr: float,
    max_dets: int = 20,
    sigmas: Sequence[float] | None = None,
    vis_thr: float | None = None,
) -> np.ndarray:
    """Which people are kept, in which order: each choice lowers the scores of those that are like it.

    "Soft-NMS: Improving Object Detection with One Line of Code" (Bodla et al., 2017, arXiv:1704.04503), with OKS.

    Args:
        people_nk3: Joints: x, y, score.
        score_n: How good each person is.
        area_n: Their areas, in pixels.
        thr: The larger, the less scores are lowered.
        max_dets: How many are kept at most.
        sigmas: As of :func:`oks_iou`.
        vis_thr: As of :func:`oks_iou`.

    Returns:
        Indices.
    """
    order = np.argsort(score_n)[::-1]
    scores = np.asarray(score_n, np.float64)[order]
    kept: list[int] = []
    while len(order) and len(kept) < max_dets:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        overlap = oks_iou(people_nk3[best], people_nk3[order], area_n[best], area_n[order], sigmas, vis_thr)
        scores = scores[1:] * np.exp(-(overlap**2) / thr)
        again = np.argsort(scores)[::-1]
        order, scores = order[again], scores[again]
    return np.array(kept, np.intp)
