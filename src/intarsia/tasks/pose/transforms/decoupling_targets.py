"""Targets of contextual instance decoupling, in the words of the older toolbox.

Shapes: p people, m people at most, k joints, maps of height h and width w; coordinates are in pixels of the maps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.pose.transforms.bottom_up_affine import pair

OVERLAP = 0.7
"""How much a box must still overlap with a person's when its corners are moved by the radius of a Gaussian."""


def gaussian_radius(height: float, width: float) -> int:
    """The least root of three equations, for boxes inside, outside, and beside a person's; whole pixels.

    CornerNet, Law and Deng, 2018, arXiv:1808.01244, whose code leaves the leading factor out of the denominators.
    """
    around, area = height + width, height * width
    equations = (
        (1, around, area * (1 - OVERLAP) / (1 + OVERLAP)),
        (4, 2 * around, area * (1 - OVERLAP)),
        (4 * OVERLAP, -2 * OVERLAP * around, area * (OVERLAP - 1)),
    )
    return max(0, int(min((b + np.sqrt(b**2 - 4 * a * c)) / 2 for a, b, c in equations)))


def draw_bells(joints_pk3: Array, corners_p42: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """A Gaussian at the pixel that holds each joint, as wide as its person is large.

    Args:
        joints_pk3: x, y, and whether the joint is marked.
        corners_p42: Corners of people's boxes: the second is beside the first, the third below it.
        size: Width and height of the maps.

    Returns:
        Maps ``(K, H, W)``, of all people the greatest value, and ``(K, 1, 1)``, 0 for joints that somebody lacks.
    """
    width, height = size
    maps, mask = np.zeros((joints_pk3.shape[1], height, width), np.float32), np.ones((joints_pk3.shape[1], 1, 1))
    for joints_k3, corners in zip(joints_pk3, np.clip(corners_p42, 0, width - 1), strict=True):
        tall, wide = (np.ceil(np.linalg.norm(corners[i] - corners[0])) for i in (2, 1))
        radius = gaussian_radius(tall, wide)
        bell = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * ((2 * radius + 1) / 6) ** 2))
        patch = bell[:, None] * bell
        patch[patch < np.finfo(patch.dtype).eps * patch.max()] = 0
        for joint, (x, y, marked) in enumerate(joints_k3.tolist()):
            if marked <= 0:
                mask[joint] = 0
                continue
            column, row = int(x), int(y)
            if not (0 <= column < width and 0 <= row < height):
                continue
            left, top = min(column, radius), min(row, radius)
            right, bottom = min(width - column, radius + 1), min(height - row, radius + 1)
            there = maps[joint, row - top : row + bottom, column - left : column + right]
            np.maximum(there, patch[radius - top : radius + bottom, radius - left : radius + right], out=there)
    return maps, mask.astype(np.float32)


@TRANSFORMS.register_module()
class CIDGenerateTarget(Transform):
    """Heat maps of everybody, with one of middles, and of single people.

    "Contextual Instance Decoupling for Robust Multi-Person Pose Estimation" (Wang and Zhang, CVPR 2022). Adds
    ``multi_heatmap`` (K + 1, H, W) and ``multi_mask`` (1, H, W); of M people ``instance_coord`` (M, 2), y and x of
    their middles, moved by up to a pixel, ``instance_heatmap`` (M, K, H, W), ``instance_mask`` (M, K, 1, 1), 0 for
    joints that they lack, and ``instance_valid`` (M,), whether there is such a person.

    Args:
        max_num_people: M.
    """

    def __init__(self, max_num_people: int) -> None:
        self.max_num_people = max_num_people

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw maps; middles and the order of people are random."""
        size = pair(results['ann_info']['heatmap_size'][0])
        joints, corners = results['joints'][0], results['bboxes']
        seen = (joints[..., 2:] > 0).astype(np.float32)
        count = seen.sum(1)
        middles = np.concatenate([(joints[..., :2] * seen).sum(1) / np.maximum(count, 1), count > 0], 1)
        everybody, _ = draw_bells(np.concatenate([joints[..., :3], middles[:, None]], 1), corners, size)
        results['multi_heatmap'], results['multi_mask'] = everybody, results['mask'][0][None]
        results.update(self._people(joints[..., :3], corners, self._chosen(results, middles, size, rng), size, rng))
        return results

    def _chosen(
        self, results: Results, middles_p3: Array, size: tuple[int, int], rng: np.random.Generator
    ) -> dict[tuple[int, int], int]:
        """People by y and x of their middles, the smallest first; of two in one pixel the smaller one."""
        width, height = size
        chosen: dict[tuple[int, int], int] = {}
        for i in np.argsort(results['areas'].reshape(-1)).tolist():
            x, y = int(middles_p3[i, 0]), int(middles_p3[i, 1])
            if not middles_p3[i, 2] or not (0 <= x < width and 0 <= y < height):
                continue
            step_x, step_y = rng.integers(-1, 2, 2).tolist()
            if 0 <= x + step_x < width and 0 <= y + step_y < height:
                x, y = x + step_x, y + step_y
            chosen.setdefault((y, x), i)
        return chosen

    def _people(
        self,
        joints_pk3: Array,
        corners_p42: Array,
        chosen: dict[tuple[int, int], int],
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Targets of single people; too many are left out by chance."""
        most, count, (width, height) = self.max_num_people, joints_pk3.shape[1], size
        found = {
            'instance_coord': np.zeros((most, 2), np.int32),
            'instance_heatmap': np.zeros((most, count, height, width), np.float32),
            'instance_mask': np.zeros((most, count, 1, 1), np.float32),
            'instance_valid': np.zeros(most, np.int32),
        }
        people = list(chosen.items())
        for row, number in enumerate(rng.permutation(len(people))[:most].tolist()):
            place, i = people[number]
            maps, mask = draw_bells(joints_pk3[i : i + 1], corners_p42[i : i + 1], size)
            values = (place, maps, mask, 1)
            for array, value in zip(found.values(), values, strict=True):
                array[row] = value
        return found
