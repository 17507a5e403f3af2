"""The geometry of skeletons: bones, motion, and how they are turned to stand alike.

Shapes: m people, t frames, v joints, c coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Results, Transform

_OPENPOSE = (0, 0, 1, 2, 3, 1, 5, 6, 2, 8, 9, 5, 11, 12, 0, 0, 14, 15)
NEARER = {
    'nturgb+d': (
        1, 20, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 20, 22, 7, 24, 11,
    ),
    'openpose': _OPENPOSE, 'openpose-18': _OPENPOSE,
    'coco': (0, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 0, 0, 11, 12, 13, 14),
}  # fmt: skip
"""For each joint the one that its bone leads to."""


def bones(joints_mtvc: np.ndarray, dataset: str) -> np.ndarray:
    """What leads from the nearer joint to each, float32; of flat skeletons the third number is a score, and averaged.

    Raises:
        DataError: The skeletons have another number of joints.
    """
    nearer = list(NEARER[dataset])
    if joints_mtvc.shape[2] != len(nearer):
        raise DataError(f'skeletons of {dataset} have {len(nearer)} joints, not {joints_mtvc.shape[2]}')
    other_mtvc = joints_mtvc[:, :, nearer]
    found_mtvc = (joints_mtvc - other_mtvc).astype(np.float32)
    if joints_mtvc.shape[3] == 3 and dataset != 'nturgb+d':
        found_mtvc[..., 2] = (joints_mtvc[..., 2] + other_mtvc[..., 2]) / 2
    return found_mtvc


def motion(feat_mtvc: np.ndarray, dataset: str) -> np.ndarray:
    """What changes in the next frame, 0 in the last; scores as in :func:`bones`."""
    found_mtvc = np.zeros_like(feat_mtvc)
    found_mtvc[:, :-1] = np.diff(feat_mtvc, axis=1)
    if feat_mtvc.shape[3] == 3 and dataset != 'nturgb+d':
        found_mtvc[:, :-1, :, 2] = (feat_mtvc[:, :-1, :, 2] + feat_mtvc[:, 1:, :, 2]) / 2
    return found_mtvc


def turning(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation ``(3, 3)`` that brings one direction to another (Rodrigues' formula); the identity for none."""
    axis = np.cross(source, target)
    length = np.linalg.norm(source) * np.linalg.norm(target)
    if np.abs(source).sum() < 1e-6 or np.abs(axis).sum() < 1e-6:
        return np.eye(3)
    angle = np.arccos(np.clip(source @ target / length, -1.0, 1.0))
    if abs(angle) < 1e-6:
        return np.eye(3)
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@TRANSFORMS.register_module()
class PreNormalize3D(Transform):
    """Let skeletons in space stand upright, in the middle, and look the same way, by their first frame.

    Frames without the first person are left out; of two people the one who is there longer becomes the first. Sets
    ``total_frames`` and ``body_center``.

    Args:
        zaxis: Two joints whose direction becomes upwards.
        xaxis: Two joints whose direction becomes sidewards: right and left shoulder.
        align_spine: Whether ``zaxis`` is aligned.
        align_shoulder: Whether ``xaxis`` is.
        align_center: Whether the body is moved to the middle.
    """

    def __init__(
        self,
        zaxis: Sequence[int] = (0, 1),
        xaxis: Sequence[int] = (8, 4),
        align_spine: bool = True,
        align_shoulder: bool = True,
        align_center: bool = True,
    ) -> None:
        self.zaxis, self.xaxis = zaxis, xaxis
        self.align_spine, self.align_shoulder, self.align_center = align_spine, align_shoulder, align_center

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Normalize; nothing is drawn.

        Raises:
            DataError: There are more than two people.
        """
        joints_mtvc = results['keypoint']
        if joints_mtvc.shape[0] > 2:
            raise DataError(f'PreNormalize3D takes one or two people, not {joints_mtvc.shape[0]}')
        if joints_mtvc.sum() == 0:
            return results
        there = [np.flatnonzero(~np.isclose(person, 0).all((1, 2))) for person in joints_mtvc]
        longest = max(range(len(there)), key=lambda i: len(there[i]))
        joints_mtvc = joints_mtvc[:, there[longest]]
        if longest == 1:
            joints_mtvc = joints_mtvc[::-1]
        center_c = joints_mtvc[0, 0, 1 if joints_mtvc.shape[2] == 25 else -1].copy()
        if self.align_center:
            joints_mtvc = (joints_mtvc - center_c) * (joints_mtvc != 0).any(-1, keepdims=True)
        for is_wanted, (first, second), sign, goal in (
            (self.align_spine, self.zaxis, -1, [0, 0, 1]),
            (self.align_shoulder, self.xaxis, 1, [1, 0, 0]),
        ):
            if is_wanted:
                direction = sign * (joints_mtvc[0, 0, first] - joints_mtvc[0, 0, second])
                joints_mtvc = joints_mtvc @ turning(direction, np.array(goal)).T
        results.update(keypoint=joints_mtvc, total_frames=joints_mtvc.shape[1], body_center=center_c)
        return results
