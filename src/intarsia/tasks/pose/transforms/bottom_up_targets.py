"""Targets of networks that see all people in an image at once.

The joints of a sample are a list, one entry for each size of heat maps: ``(P, K, 3)`` in pixels of the map, x, y and
whether the joint is marked.

Shapes: p people, k joints, maps of height h and width w.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.pose.codecs.drawing import draw_people
from intarsia.tasks.pose.transforms.bottom_up_affine import pair


@TRANSFORMS.register_module()
class BottomUpGenerateTarget(Transform):
    """Targets of associative embedding.

    From "Associative Embedding: End-to-End Learning for Joint Detection and Grouping", Newell et al., 2016,
    arXiv:1611.05424. Adds lists with an entry for each size of maps: ``targets`` float32 ``(K, H, W)``; ``masks``
    float32 ``(H, W)``, 0 where nobody has marked the people; ``joints`` int32 ``(M, K, 2)``, for each person the marked
    joints first: their place in the flattened maps, and 1.

    Args:
        sigma: Of the Gaussian, in pixels of the map.
        max_num_people: M.
        use_udp: The Gaussian stands at the joint, not at the pixel that holds it.
    """

    def __init__(self, sigma: float, max_num_people: int, use_udp: bool = False) -> None:
        self.sigma = sigma
        self.max_num_people = max_num_people
        self.use_udp = use_udp

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw maps and number joints; nothing is random.

        Raises:
            DataError: There are more than ``max_num_people``.
        """
        sizes = [pair(size) for size in results['ann_info']['heatmap_size']]
        people = results['joints']
        results['targets'] = [
            draw_people(joints, size, self.sigma, self.use_udp) for joints, size in zip(people, sizes, strict=True)
        ]
        results['masks'] = [mask.astype(np.float32) for mask in results['mask']]
        results['joints'] = [self.numbered(joints, size) for joints, size in zip(people, sizes, strict=True)]
        return results

    def numbered(self, joints_pk3: Array, size: tuple[int, int]) -> Array:
        """Places of joints in the flattened maps, int32 ``(M, K, 2)``."""
        if len(joints_pk3) > self.max_num_people:
            raise DataError(f'{len(joints_pk3)} people in an image, but max_num_people={self.max_num_people}')
        width, height = size
        count = joints_pk3.shape[1]
        x, y = np.trunc(joints_pk3[..., :2]).astype(int).transpose(2, 0, 1)
        counts = (joints_pk3[..., 2] > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        places = np.arange(count) * (width * height) + y * width + x
        numbered = np.zeros((self.max_num_people, count, 2), np.int32)
        for row_k2, places_k, counts_k in zip(numbered, places, counts, strict=False):
            found = places_k[counts_k]
            row_k2[: len(found)] = np.stack([found, np.ones_like(found)], 1)
        return numbered


@TRANSFORMS.register_module()
class GetKeypointCenterArea(Transform):
    """Add the middle of each person's marked joints, and the size of a person, for each size of maps.

    ``center``: float32 ``(P, 1, 3)``, x, y and whether it counts. ``area``: float32 ``(P,)``, the squared diagonal of
    the box around the joints.

    Args:
        minimal_area: Smaller people do not count.
    """

    def __init__(self, minimal_area: float = 32) -> None:
        self.minimal_area = minimal_area

    def of_people(self, joints_pk3: Array) -> tuple[Array, Array]:
        """Centres and areas."""
        center, area = np.zeros((len(joints_pk3), 1, 3), np.float32), np.zeros(len(joints_pk3), np.float32)
        for i, joints_k3 in enumerate(joints_pk3):
            marked = joints_k3[joints_k3[:, 2] > 0, :2]
            if len(marked):
                area[i] = (np.ptp(marked, axis=0) ** 2).sum()
                center[i, 0, :2] = marked.mean(axis=0)
                center[i, 0, 2] = area[i] >= self.minimal_area
        return center, area

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Measure; nothing is drawn."""
        measured = [self.of_people(joints) for joints in results['joints']]
        results['center'], results['area'] = [list(each) for each in zip(*measured, strict=True)]
        return results


@TRANSFORMS.register_module()
class BottomUpGenerateHeatmapTarget(Transform):
    """Heat maps of the joints of all people, and of their centres first if wanted.

    Adds lists with an entry for each size of maps: ``target`` and ``heatmaps`` (the same), float32 ``(K, H, W)``, and
    ``masks`` of that shape, the weights of pixels; none with a ``bg_weight`` of 1.

    Args:
        sigma: Of the Gaussian in pixels of the map; a second number for centres.
        bg_weight: Weight of pixels that no Gaussian reaches.
        gen_center_heatmap: Whether the first map is that of the centres.
        use_udp: The Gaussian stands at the joint, not at the pixel that holds it.
    """

    def __init__(
        self,
        sigma: float | Sequence[float],
        bg_weight: float = 1.0,
        gen_center_heatmap: bool = False,
        use_udp: bool = False,
    ) -> None:
        self.sigma = [sigma] if isinstance(sigma, (int, float)) else list(sigma)
        self.bg_weight = bg_weight
        self.gen_center_heatmap = gen_center_heatmap
        self.use_udp = use_udp
        if gen_center_heatmap and len(self.sigma) != 2:
            raise ValueError(f'gen_center_heatmap wants two numbers sigma, of joints and of centres, not {sigma}')

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw maps; nothing is random."""
        sizes = [pair(size) for size in results['ann_info']['heatmap_size']]
        drawn = [results['joints']] if not self.gen_center_heatmap else [results['center'], results['joints']]
        sigmas = [self.sigma[0]] if not self.gen_center_heatmap else [self.sigma[1], self.sigma[0]]
        maps = [
            np.concatenate(
                [draw_people(p[i], size, sigma, self.use_udp) for p, sigma in zip(drawn, sigmas, strict=True)]
            )
            for i, size in enumerate(sizes)
        ]
        results['target'] = results['heatmaps'] = maps
        weighs = self.bg_weight != 1
        results['masks'] = [self._weights(*each) for each in zip(maps, results['mask'], strict=True)] if weighs else []
        return results

    def _weights(self, maps_khw: Array, mask_hw: Array) -> Array:
        weight_khw = np.where(maps_khw > 0, 1, self.bg_weight) * (mask_hw > 0)
        return weight_khw.astype(np.float32)


@TRANSFORMS.register_module()
class BottomUpGenerateOffsetTarget(Transform):
    """Around each person's centre, the way from there to the joints.

    From "Bottom-Up Human Pose Estimation Via Disentangled Keypoint Regression", Geng et al., 2021, arXiv:2104.02300.
    Adds lists with an entry for each size of maps, float32 ``(2K, H, W)``: ``offsets``, x and y of a joint after the
    other, from joint to pixel; and ``offset_weights``, one over the square root of the person's area. Where people
    meet, the smaller one counts.

    Args:
        radius: Half the side of the square around the centre.
    """

    def __init__(self, radius: int = 4) -> None:
        self.radius = radius

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw maps; nothing is random."""
        sizes = [pair(size) for size in results['ann_info']['heatmap_size']]
        people = zip(results['center'], results['joints'], results['area'], sizes, strict=True)
        made = [self.maps_of(*each) for each in people]
        results['offsets'], results['offset_weights'] = [list(each) for each in zip(*made, strict=True)]
        return results

    def maps_of(self, center_p13: Array, joints_pk3: Array, area_p: Array, size: tuple[int, int]) -> Any:
        """Offsets and weights for one size."""
        width, height = size
        offsets, weights = np.zeros((2, joints_pk3.shape[1], 2, height, width), np.float32)
        smallest = np.zeros((height, width), np.float32)
        for center, joints_k3, area in zip(center_p13[:, 0], joints_pk3, area_p, strict=True):
            if center[2] < 1 or not _is_in(center, size):
                continue
            rows, columns = (self._around(center[axis], size[axis]) for axis in (1, 0))
            y, x = np.mgrid[rows, columns]
            near = smallest[rows, columns]
            for joint, point in enumerate(joints_k3):
                if point[2] < 1 or not _is_in(point, size):
                    continue
                patch = offsets[joint, :, rows, columns]
                free = ~((patch != 0).any(axis=0) & (near < area))
                patch[:, free] = np.stack([x - point[0], y - point[1]])[:, free]
                weights[joint, :, rows, columns][:, free] = 1 / np.sqrt(area)
                near[free] = area
        return offsets.reshape(-1, height, width), weights.reshape(-1, height, width)

    def _around(self, middle: float, length: int) -> slice:
        return slice(max(int(middle - self.radius), 0), min(int(middle + self.radius), length))


def _is_in(point: Array, size: tuple[int, int]) -> bool:
    return bool(0 <= point[0] < size[0] and 0 <= point[1] < size[1])


@TRANSFORMS.register_module()
class BottomUpGeneratePAFTarget(Transform):
    """Part affinity fields: along each limb of each person, the direction from one joint to the other.

    From "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", Cao et al., 2016, arXiv:1611.08050. Adds
    ``target``, a list with an entry for each size of maps: float32 ``(2L, H, W)``, x and y of a limb after the other;
    where people meet, the mean.

    Args:
        limb_width: How far from the middle of a limb its field reaches, in pixels of the map.
        skeleton: Pairs of joints; None takes those of the data set.
    """

    def __init__(self, limb_width: float, skeleton: Sequence[Sequence[int]] | None = None) -> None:
        self.limb_width = limb_width
        self.skeleton = skeleton

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw fields; nothing is random."""
        info = results['ann_info']
        limbs = info['skeleton'] if self.skeleton is None else self.skeleton
        sizes = [pair(size) for size in info['heatmap_size']]
        results['target'] = [
            np.concatenate([self.field(joints[:, limb], size) for limb in limbs])
            for joints, size in zip(results['joints'], sizes, strict=True)
        ]
        return results

    def field(self, ends_p23: Array, size: tuple[int, int]) -> Array:
        """The field of one limb, float32 ``(2, H, W)``."""
        width, height = size
        total, count = np.zeros((2, height, width), np.float32), np.zeros((height, width), np.float32)
        for ends in ends_p23[(ends_p23[..., 2] > 0).all(axis=1), :, :2]:
            start, way = ends[0], ends[1] - ends[0]
            length = np.linalg.norm(way)
            direction = way / length if length else np.zeros(2, way.dtype)
            low = np.maximum(np.floor(ends.min(axis=0) - self.limb_width), 0).astype(int)
            high = np.minimum(np.ceil(ends.max(axis=0) + self.limb_width), (width - 1, height - 1)).astype(int)
            y, x = np.mgrid[low[1] : high[1] + 1, low[0] : high[0] + 1]
            near = np.abs((x - start[0]) * direction[1] - (y - start[1]) * direction[0]) < self.limb_width
            total[:, y[near], x[near]] += direction[:, None]
            count[y[near], x[near]] += 1
        return total / np.maximum(count, 1)
