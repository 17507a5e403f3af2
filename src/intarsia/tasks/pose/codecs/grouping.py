"""Whose joint is it? Peaks of maps become people by the tags that a network gave them.

Shapes: k joints, m peaks of each, p people, tags of l numbers. A peak is ``x, y, value, tag ...``, 3 + l numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.models.assignment import assign

TAG_COST = 100
"""How much more a tag counts that is one away than a value of the map that is one smaller."""


def group_peaks(
    peaks_kmd: np.ndarray,
    order: Sequence[int],
    value_threshold: float,
    tag_threshold: float,
    max_people: int | None = None,
    matched_people: int | None = None,
    use_values: bool = True,
) -> np.ndarray:
    """People, joint by joint: each peak goes to the person whose mean tag is near, or is the first of a new one.

    Associative Embedding: End-to-End Learning for Joint Detection and Grouping, Newell et al., 2017, arXiv:1611.05424.

    Args:
        peaks_kmd: Peaks.
        order: In which order joints are taken; best from those that are seen surely to those that are not.
        value_threshold: Peaks no higher than this are nothing.
        tag_threshold: How near a tag must be.
        max_people: Only the first so many are given; None for all.
        matched_people: Only the first so many may be given joints; None for all.
        use_values: Rounded distances of tags decide, and of equal ones the higher peak; not the distances alone.

    Returns:
        A peak for each joint of each person, float32 ``(P, K, 3 + L)``; zeros for joints that nobody found.
    """
    people: list[np.ndarray] = []
    tags: list[list[np.ndarray]] = []
    for joint in order:
        peaks = peaks_kmd[joint][peaks_kmd[joint][:, 2] > value_threshold]
        means = [np.mean(known, axis=0) for known in tags[:matched_people]]
        for peak, partner in zip(peaks, _partners(peaks, means, tag_threshold, use_values), strict=True):
            if partner < 0:
                people.append(np.zeros((len(peaks_kmd), peaks_kmd.shape[2]), np.float32))
                tags.append([])
            people[partner][joint] = peak
            tags[partner].append(peak[3:])
    return np.array(people[:max_people], np.float32).reshape(-1, len(peaks_kmd), peaks_kmd.shape[2])


def _partners(peaks_md: np.ndarray, tags: Sequence[np.ndarray], tag_threshold: float, use_values: bool) -> np.ndarray:
    """Which person each peak belongs to; -1 for a new one."""
    partner = np.full(len(peaks_md), -1)
    if not len(peaks_md) or not tags:
        return partner
    distance = np.linalg.norm(peaks_md[:, None, 3:].astype(np.float64) - np.array(tags), axis=2)
    cost = np.round(distance) * TAG_COST - peaks_md[:, 2:3] if use_values else distance
    if len(peaks_md) <= len(tags):
        peak, person = np.arange(len(peaks_md)), assign(cost)
    else:
        peak, person = assign(cost.T), np.arange(len(tags))
    near = distance[peak, person] < tag_threshold
    partner[peak[near]] = person[near]
    return partner
