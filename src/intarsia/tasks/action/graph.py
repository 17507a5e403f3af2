"""Skeletons as graphs: which joints are neighbours, and in which groups their features are mixed.

Shapes: k groups of neighbours, v joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from intarsia.core.errors import closest

Edges = Sequence[tuple[int, int]]


class Layout(NamedTuple):
    """The joints of a skeleton: how many, which are linked (from a joint to the one nearer the centre), the centre."""

    num_joints: int
    edges: Edges
    center: int


def _from_one(pairs: Sequence[tuple[int, int]]) -> Edges:
    """Edges between joints that were counted from 1."""
    return [(a - 1, b - 1) for a, b in pairs]


_OPENPOSE_18: Edges = [
    (4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 5), (8, 2), (5, 1), (2, 1), (0, 1),
    (15, 0), (14, 0), (17, 15), (16, 14),
]  # fmt: skip
_NTU_BODY = [
    (1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11), (13, 1),
    (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19),
]  # fmt: skip

LAYOUTS = {
    'openpose-18': Layout(18, _OPENPOSE_18, 1),
    'openpose-25': Layout(25, [
        (4, 3), (3, 2), (7, 6), (6, 5), (23, 22), (22, 11), (24, 11), (11, 10), (10, 9), (9, 8), (20, 19), (19, 14),
        (21, 14), (14, 13), (13, 12), (12, 8), (8, 1), (5, 1), (2, 1), (0, 1), (15, 0), (16, 0), (17, 15), (18, 16),
    ], 1),
    'ntu-rgb+d': Layout(25, _from_one([*_NTU_BODY, (22, 23), (23, 8), (24, 25), (25, 12)]), 20),
    'ntu_edge': Layout(24, _from_one([
        (1, 2), (3, 2), (4, 3), (5, 2), (6, 5), (7, 6), (8, 7), (9, 2), (10, 9), (11, 10), (12, 11), (13, 1), (14, 13),
        (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (21, 22), (22, 8), (23, 24), (24, 12),
    ]), 2),
    'coco': Layout(17, _from_one([
        (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (8, 6), (9, 7), (10, 8), (11, 9),
        (2, 3), (2, 1), (3, 1), (4, 2), (5, 3), (4, 6), (5, 7),
    ]), 0),
}  # fmt: skip
"""Skeletons by name."""

TREES = {
    'openpose': Layout(18, _OPENPOSE_18, 1),
    'nturgb+d': Layout(25, _from_one([*_NTU_BODY, (22, 8), (23, 8), (24, 12), (25, 12)]), 20),
    'coco': Layout(17, [
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 5), (12, 6), (9, 7), (7, 5), (10, 8), (8, 6), (5, 0), (6, 0),
        (1, 0), (3, 1), (2, 0), (4, 2),
    ], 0),
}  # fmt: skip
"""Skeletons by name, as trees with the centre as their root."""


def _find(layout: str | Mapping[str, Any], known: Mapping[str, Layout]) -> Layout:
    if isinstance(layout, Mapping):
        return Layout(layout['num_node'], list(layout['inward']), layout['center'])
    if layout not in known:
        close = closest(str(layout), known)
        hint = f" Did you mean '{close}'?" if close else ''
        raise ValueError(f"there is no skeleton '{layout}'.{hint} There are: {', '.join(known)}.")
    return known[layout]


def hop_distances(layout: Layout, max_hop: int) -> np.ndarray:
    """How many links lie between two joints, float64 ``(V, V)``; infinite beyond ``max_hop``."""
    linked_vv = np.zeros((layout.num_joints, layout.num_joints))
    for a, b in layout.edges:
        linked_vv[a, b] = linked_vv[b, a] = 1
    np.fill_diagonal(linked_vv, 1)
    distance_vv = np.full_like(linked_vv, np.inf)
    for hop in range(max_hop, -1, -1):
        distance_vv[np.linalg.matrix_power(linked_vv, hop) > 0] = hop
    return distance_vv


def normalized(adjacency_vv: np.ndarray) -> np.ndarray:
    """Columns that add up to 1, where they add up to anything."""
    degree_v = adjacency_vv.sum(0)
    return adjacency_vv / np.where(degree_v > 0, degree_v, 1)


def _matrix(edges: Edges, num_joints: int) -> np.ndarray:
    matrix_vv = np.zeros((num_joints, num_joints))
    for a, b in edges:
        matrix_vv[b, a] = 1
    return matrix_vv


def adjacency(
    layout: str = 'openpose-18', strategy: str = 'uniform', max_hop: int = 1, dilation: int = 1
) -> np.ndarray:
    """The groups of neighbours of every joint.

    "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition" (Yan et al., 2018,
    arXiv:1801.07455), section 3.

    Args:
        layout: A name in :data:`LAYOUTS`.
        strategy: ``'uniform'``, one group; ``'distance'``, one for each number of links; ``'spatial'``, by whether a
            neighbour is as near to the centre, nearer or farther; ``'agcn'``, the joint itself, and the links in each
            direction.
        max_hop: Neighbours are at most so many links away.
        dilation: Of those every so-manieth.

    Returns:
        float64 ``(K, V, V)``, normalized.

    Raises:
        ValueError: There is no such skeleton or strategy.
    """
    skeleton = _find(layout, LAYOUTS)
    hops = range(0, max_hop + 1, dilation)
    if strategy == 'agcn':
        return directed(skeleton)
    distance_vv = hop_distances(skeleton, max_hop)
    weight_vv = normalized(np.isin(distance_vv, list(hops)).astype(float))
    if strategy == 'uniform':
        return weight_vv[None]
    if strategy == 'distance':
        return np.stack([np.where(distance_vv == hop, weight_vv, 0) for hop in hops])
    if strategy != 'spatial':
        raise ValueError(f"a strategy is 'uniform', 'distance', 'spatial' or 'agcn', not {strategy!r}")
    from_center_v = distance_vv[:, skeleton.center]
    difference_vv = _difference(from_center_v)
    groups = []
    for hop in hops:
        of_hop_vv = np.where(distance_vv == hop, weight_vv, 0)
        if hop == 0:
            groups.append(np.where(difference_vv == 0, of_hop_vv, 0))
        else:
            groups += [np.where(difference_vv >= 0, of_hop_vv, 0), np.where(difference_vv < 0, of_hop_vv, 0)]
    return np.stack(groups)


def _difference(from_center_v: np.ndarray) -> np.ndarray:
    """1, 0 or -1: whether joint i is farther from the centre than joint j, as far, or nearer."""
    row, column = from_center_v[:, None], from_center_v[None]
    return (row > column).astype(int) - (row < column).astype(int)


def directed(skeleton: Layout) -> np.ndarray:
    """The joint itself, and the links towards and away from the centre: ``(3, V, V)``."""
    inward, outward = list(skeleton.edges), [(b, a) for a, b in skeleton.edges]
    own_vv = np.eye(skeleton.num_joints)
    return np.stack([own_vv, *(normalized(_matrix(edges, skeleton.num_joints)) for edges in (inward, outward))])


def tree_adjacency(layout: str | Mapping[str, Any] = 'coco', mode: str = 'spatial', max_hop: int = 1) -> np.ndarray:
    """The groups of neighbours of every joint of a tree.

    Args:
        layout: A name in :data:`TREES`, or a dict of ``num_node``, ``inward`` (edges) and ``center``.
        mode: ``'spatial'``, the joint itself and the links in each direction; ``'stgcn_spatial'``, by whether a
            neighbour is at least as far from the centre, for each number of links; ``'binary_adj'``, all links.
        max_hop: Neighbours are at most so many links away.

    Returns:
        float64 ``(K, V, V)``.

    Raises:
        ValueError: There is no such skeleton or mode.
    """
    skeleton = _find(layout, TREES)
    if mode == 'spatial':
        return directed(skeleton)
    if mode == 'binary_adj':
        return _matrix([*skeleton.edges, *((b, a) for a, b in skeleton.edges)], skeleton.num_joints)[None]
    if mode != 'stgcn_spatial':
        raise ValueError(f"a mode is 'spatial', 'stgcn_spatial' or 'binary_adj', not {mode!r}")
    distance_vv = hop_distances(skeleton, max_hop)
    weight_vv = normalized((distance_vv <= max_hop).astype(float))
    difference_vv = _difference(distance_vv[:, skeleton.center])
    groups = []
    for hop in range(max_hop + 1):
        of_hop_vv = np.where(distance_vv == hop, weight_vv, 0)
        groups.append(np.where(difference_vv >= 0, of_hop_vv, 0))
        if hop:
            groups.append(np.where(difference_vv < 0, of_hop_vv, 0))
    return np.stack(groups)
