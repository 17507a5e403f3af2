"""Average precision and recall of found people over OKS, by the protocol of COCO.

Shapes: g annotated and d found people of an image, k joints, a ranges of areas, t thresholds of OKS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from intarsia.tasks.pose.metrics.oks import TINY

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MAX_FOUND = 20
"""People of an image that count, the best first."""
AREAS = {'all': (0.0, 1e10), 'medium': (32.0**2, 96.0**2), 'large': (96.0**2, 1e10)}
"""Areas in pixels, both ends included."""


class Annotated(NamedTuple):
    """The annotated people of one image and category.

    Attributes:
        keypoints: x, y, visibility, float64 ``(G, K, 3)``.
        boxes: x, y, width, height, float64 ``(G, 4)``.
        areas: float64 ``(G,)``.
        ignored: People who count neither as found nor as missed: crowds, and those without joints; bool ``(G,)``.
        crowds: Crowds, in which any number of people may be found; bool ``(G,)``.
    """

    keypoints: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    ignored: np.ndarray
    crowds: np.ndarray


class Found(NamedTuple):
    """The people found in one image, of one category.

    Attributes:
        keypoints: x, y, float64 ``(D, K, 2)``.
        scores: float64 ``(D,)``.
        areas: By which those who are nobody count or not, float64 ``(D,)``.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    areas: np.ndarray


@dataclass(frozen=True)
class Matches:
    """Which found people of one image are right, by range of areas and threshold.

    Attributes:
        scores: float64 ``(D,)``, falling.
        right: bool ``(A, T, D)``.
        ignored: Found people who count for nothing, bool ``(A, T, D)``.
        counts: Annotated people who count, int ``(A,)``.
    """

    scores: np.ndarray
    right: np.ndarray
    ignored: np.ndarray
    counts: np.ndarray


def oks_matrix(found: np.ndarray, annotated: Annotated, sigmas: np.ndarray) -> np.ndarray:
    """OKS of every found person with every annotated one, ``(D, G)``.

    Only joints that are annotated count. For a person without any, joints outside twice the box are far.

    Args:
        found: x, y ``(D, K, 2)``.
        annotated: The others.
        sigmas: How exactly people place each joint.
    """
    variance_k = (np.asarray(sigmas) * 2) ** 2
    oks = np.zeros((len(found), len(annotated.areas)))
    for g, (truth_k3, box, area) in enumerate(zip(annotated.keypoints, annotated.boxes, annotated.areas, strict=True)):
        is_marked_k = truth_k3[:, 2] > 0
        if is_marked_k.any():
            distance_dk2 = found - truth_k3[:, :2]
        else:
            low, high = box[:2] - box[2:], box[:2] + box[2:] * 2
            distance_dk2 = np.maximum(0, low - found) + np.maximum(0, found - high)
        error_dk = (distance_dk2**2).sum(-1) / variance_k / (area + TINY) / 2
        used_dk = error_dk[:, is_marked_k] if is_marked_k.any() else error_dk
        oks[:, g] = np.exp(-used_dk).sum(1) / used_dk.shape[1]
    return oks


def match(found: Found, annotated: Annotated, oks_dg: np.ndarray) -> Matches:
    """Give each found person, the best first, the annotated one it is most like.

    Those who count go before those who are ignored. In every range of :data:`AREAS` annotated people of other areas are
    ignored, and found ones as well unless they match.

    Args:
        found: Sorted by score, the best first.
        annotated: The people of the image.
        oks_dg: :func:`oks_matrix` of them.
    """
    low_a1, high_a1 = (np.array(ends)[:, None] for ends in zip(*AREAS.values(), strict=True))
    ignored_ag = annotated.ignored | (annotated.areas < low_a1) | (annotated.areas > high_a1)
    outside_ad = (found.areas < low_a1) | (found.areas > high_a1)
    shape = (len(AREAS), len(THRESHOLDS), len(found.scores))
    right, ignored = np.zeros(shape, bool), np.repeat(outside_ad[:, None], len(THRESHOLDS), 1)
    counts_a1g = ~ignored_ag[:, None]
    free_atg = np.ones((*shape[:2], len(annotated.areas)), bool)
    least_t1 = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    for d, oks_g in enumerate(oks_dg if len(annotated.areas) else ()):
        fits_atg = free_atg & (oks_g >= least_t1)
        fits_atg &= counts_a1g | ~(fits_atg & counts_a1g).any(-1, keepdims=True)
        # of several that are equally like it, the last
        g_at = len(oks_g) - 1 - np.where(fits_atg, oks_g, -1.0)[..., ::-1].argmax(-1)
        a, t = np.nonzero(fits_atg.any(-1))
        g = g_at[a, t]
        right[a, t, d], ignored[a, t, d] = True, ignored_ag[a, g]
        free_atg[a, t, g] = annotated.crowds[g]
    return Matches(found.scores, right, ignored, (~ignored_ag).sum(1))


def precision_and_recall(matches: Sequence[Matches], area: str = 'all') -> tuple[np.ndarray, np.ndarray]:
    """Precision at 101 recalls ``(T, 101)``, and the greatest recall ``(T,)``; -1 where nobody is annotated.

    Args:
        matches: Of all images.
        area: Which of :data:`AREAS` counts.
    """
    a = list(AREAS).index(area)
    count = sum(int(each.counts[a]) for each in matches)
    precision, recall = np.zeros((len(THRESHOLDS), len(RECALLS))), np.zeros(len(THRESHOLDS))
    if count == 0:
        return precision - 1, recall - 1
    order = np.argsort(-np.concatenate([each.scores for each in matches]), kind='mergesort')
    right = np.concatenate([each.right[a] for each in matches], 1)[:, order]
    counts = ~np.concatenate([each.ignored[a] for each in matches], 1)[:, order]
    hits, misses = np.cumsum(right & counts, 1, np.float64), np.cumsum(~right & counts, 1, np.float64)
    for t, (hit, miss) in enumerate(zip(hits, misses, strict=True)):
        if not len(hit):
            continue
        recalls = hit / count
        envelope = np.maximum.accumulate((hit / (miss + hit + TINY))[::-1])[::-1]
        places = np.searchsorted(recalls, RECALLS, side='left')
        inside = places < len(envelope)
        precision[t, inside] = envelope[places[inside]]
        recall[t] = recalls[-1]
    return precision, recall


def summarize(categories: Sequence[Sequence[Matches]]) -> dict[str, float]:
    """The ten numbers of COCO.

    Args:
        categories: Matches of each image, by category.

    Returns:
        ``AP``, ``AP .5``, ``AP .75``, ``AP (M)``, ``AP (L)``, ``AR``, ``AR .5``, ``AR .75``, ``AR (M)``, ``AR (L)``: 0
        ... 1, or -1 where nobody is annotated.
    """
    curves = {area: [precision_and_recall(matches, area) for matches in categories] for area in AREAS}
    values: dict[str, float] = {}
    for i, word in enumerate(('AP', 'AR')):
        # categories come last: the order in which numbers are added is that of pycocotools, to the last bit
        tables = {area: np.stack([both[i] for both in each], -1) for area, each in curves.items()}
        values |= {
            word: _mean(tables['all']),
            f'{word} .5': _mean(tables['all'][np.isclose(THRESHOLDS, 0.5)]),
            f'{word} .75': _mean(tables['all'][np.isclose(THRESHOLDS, 0.75)]),
            f'{word} (M)': _mean(tables['medium']),
            f'{word} (L)': _mean(tables['large']),
        }
    return values


CROWDING = {'AP(E)': (0.0, 0.2), 'AP(M)': (0.2, 0.8), 'AP(H)': (0.8, np.inf)}
"""Easy, medium and hard images of CrowdPose, by how crowded they are."""


def summarize_crowd(categories: Sequence[Sequence[Matches]], crowding: Sequence[Sequence[float]]) -> dict[str, float]:
    """The nine numbers of CrowdPose.

    "CrowdPose: Efficient Crowded Scenes Pose Estimation and A New Benchmark" (Li et al., 2018, arXiv:1812.00324).

    Args:
        categories: Matches of each image, by category.
        crowding: How crowded these images are, 0 ... 1, by category.

    Returns:
        ``AP``, ``AP .5``, ``AP .75``, ``AR``, ``AR .5``, ``AR .75``, and of easy, medium and hard images ``AP(E)``,
        ``AP(M)``, ``AP(H)``, rounded to 0.0001.
    """
    values = {name: value for name, value in summarize(categories).items() if '(' not in name}
    for name, (low, high) in CROWDING.items():
        chosen = [
            [each for each, index in zip(matches, indices, strict=True) if low <= index < high]
            for matches, indices in zip(categories, crowding, strict=True)
        ]
        precision = np.stack([precision_and_recall(matches)[0] for matches in chosen], -1)
        values[name] = round(float(precision.mean()), 4)
    return values


def _mean(table: np.ndarray) -> float:
    known = table[table > -1]
    return float(known.mean()) if known.size else -1.0
