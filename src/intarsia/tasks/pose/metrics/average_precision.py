"""Average precision and recall of found people over OKS, by the protocol of COCO.

Shapes: g annotated and d found people of an image, k joints, t thresholds of OKS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Which found people of one image are right, by threshold.

    Attributes:
        scores: float64 ``(D,)``, falling.
        right: bool ``(T, D)``.
        ignored: Found people who count for nothing, bool ``(T, D)``.
        count: Annotated people who count.
    """

    scores: np.ndarray
    right: np.ndarray
    ignored: np.ndarray
    count: int


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


def match(found: Found, annotated: Annotated, oks: np.ndarray, area: tuple[float, float]) -> Matches:
    """Give each found person, the best first, the annotated one it is most like.

    Args:
        found: Sorted by score, the best first.
        annotated: The people of the image.
        oks: :func:`oks_matrix` of them.
        area: Annotated people of other areas are ignored, and found ones as well unless they match.
    """
    low, high = area
    ignored_g = annotated.ignored | (annotated.areas < low) | (annotated.areas > high)
    order = np.argsort(ignored_g, kind='stable')
    shape = (len(THRESHOLDS), len(found.scores))
    right, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    outside_d = (found.areas < low) | (found.areas > high)
    for t, threshold in enumerate(THRESHOLDS):
        taken: set[int] = set()
        for d in range(len(found.scores)):
            g = _partner(oks[d], order, ignored_g, annotated.crowds, taken, float(threshold))
            if g is None:
                ignored[t, d] = outside_d[d]
                continue
            taken.add(g)
            right[t, d], ignored[t, d] = True, ignored_g[g]
    return Matches(found.scores, right, ignored, int((~ignored_g).sum()))


def _partner(
    oks_g: np.ndarray, order: np.ndarray, ignored_g: np.ndarray, crowds_g: np.ndarray, taken: set[int], least: float
) -> int | None:
    """The annotated person, not taken yet, that a found one is most like; those that are ignored come last."""
    best, partner = min(least, 1 - 1e-10), None
    for g in order.tolist():
        if g in taken and not crowds_g[g]:
            continue
        if partner is not None and not ignored_g[partner] and ignored_g[g]:
            break
        if oks_g[g] >= best:
            best, partner = float(oks_g[g]), g
    return partner


def precision_and_recall(matches: Sequence[Matches]) -> tuple[np.ndarray, np.ndarray]:
    """Precision at 101 recalls ``(T, 101)``, and the greatest recall ``(T,)``; -1 where nobody is annotated."""
    count = sum(each.count for each in matches)
    if count == 0:
        return np.full((len(THRESHOLDS), len(RECALLS)), -1.0), np.full(len(THRESHOLDS), -1.0)
    scores = np.concatenate([each.scores for each in matches])
    order = np.argsort(-scores, kind='mergesort')
    right = np.concatenate([each.right for each in matches], 1)[:, order]
    ignored = np.concatenate([each.ignored for each in matches], 1)[:, order]
    hits, misses = np.cumsum(right & ~ignored, 1, np.float64), np.cumsum(~right & ~ignored, 1, np.float64)
    precision, recall = np.zeros((len(THRESHOLDS), len(RECALLS))), np.zeros(len(THRESHOLDS))
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


def summarize(matches: Mapping[str, Sequence[Sequence[Matches]]]) -> dict[str, float]:
    """The ten numbers of COCO.

    Args:
        matches: By name of the area, by category, by image.

    Returns:
        ``AP``, ``AP .5``, ``AP .75``, ``AP (M)``, ``AP (L)``, ``AR``, ``AR .5``, ``AR .75``, ``AR (M)``, ``AR (L)``: 0
        ... 1, or -1 where nobody is annotated.
    """
    curves = {name: [precision_and_recall(images) for images in categories] for name, categories in matches.items()}
    values: dict[str, float] = {}
    for i, word in enumerate(('AP', 'AR')):
        tables = {name: np.stack([both[i] for both in each], 1) for name, each in curves.items()}
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


def summarize_crowd(matches: Sequence[Sequence[Matches]], crowding: Sequence[Sequence[float]]) -> dict[str, float]:
    """The nine numbers of CrowdPose.

    "CrowdPose: Efficient Crowded Scenes Pose Estimation and A New Benchmark" (Li et al., 2018, arXiv:1812.00324).

    Args:
        matches: By category, by image, for all areas.
        crowding: How crowded each image is, 0 ... 1.

    Returns:
        ``AP``, ``AP .5``, ``AP .75``, ``AR``, ``AR .5``, ``AR .75``, and of easy, medium and hard images ``AP(E)``,
        ``AP(M)``, ``AP(H)``, rounded to 0.0001.
    """
    every = summarize(dict.fromkeys(AREAS, matches))
    values = {name: value for name, value in every.items() if '(' not in name}
    for name, (low, high) in CROWDING.items():
        chosen = [
            [match for match, index in zip(images, indices, strict=True) if low <= index < high]
            for images, indices in zip(matches, crowding, strict=True)
        ]
        precision = np.stack([precision_and_recall(images)[0] for images in chosen])
        values[name] = round(float(precision.mean()), 4)
    return values


def _mean(table: np.ndarray) -> float:
    known = table[table > -1]
    return float(known.mean()) if known.size else -1.0
