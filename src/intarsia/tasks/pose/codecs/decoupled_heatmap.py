"""One set of heat maps for everybody in the image, and one for each person.

Shapes: p people, k joints, maps of height h and width w.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs.codec import HeatmapCodec, Keypoints, one_of
from intarsia.tasks.pose.codecs.drawing import draw_gaussians
from intarsia.tasks.pose.codecs.peaks import get_heatmap_maximum
from intarsia.tasks.pose.codecs.refine import refine_keypoints


@CODECS.register_module()
class DecoupledHeatmap(HeatmapCodec):
    """Gaussians as wide as people are large, at their joints and at their middle.

    Contextual Instance Decoupling for Robust Multi-Person Pose Estimation, Wang and Zhang, CVPR 2022.

    Args:
        input_size: Width and height of the input.
        heatmap_size: Width and height of the maps.
        root_type: A person's middle: the mean of the visible joints, or the middle of the box round them.
        heatmap_min_overlap: How much a box must still overlap with a person's when its corners are moved by as much as
            three standard deviations; the less, the wider the Gaussians.
        encode_max_instances: Greatest number of people with maps of their own.
    """

    needs_boxes = True
    """Whether :meth:`encode` wants to know the boxes of people."""
    of_people = ('instance_target', 'target_weight', 'instance_coords')
    """What of its targets has rows for each person."""

    def __init__(
        self,
        input_size: Sequence[int],
        heatmap_size: Sequence[int],
        root_type: Literal['kpt_center', 'bbox_center'] = 'kpt_center',
        heatmap_min_overlap: float = 0.7,
        encode_max_instances: int = 30,
    ) -> None:
        super().__init__(input_size, heatmap_size)
        self.root_type = one_of('root_type', root_type, ('kpt_center', 'bbox_center'))
        self.heatmap_min_overlap = heatmap_min_overlap
        self.encode_max_instances = encode_max_instances

    def encode(
        self,
        keypoints_k2: np.ndarray,
        visible_k: np.ndarray,
        corners_p42: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> dict[str, np.ndarray]:
        """Targets of all people of an image.

        Args:
            keypoints_k2: Joints ``(P, K, 2)``.
            visible_k: How much each counts ``(P, K)``.
            corners_p42: Corners of each person's box: the second is below the first, the third beside it. None for the
                boxes round the visible joints.
            rng: Moves each middle by up to a pixel, and chooses among too many people; None for neither.

        Returns:
            ``target`` (K + 1, H, W), the last map for middles; ``instance_target`` (MK, H, W) and ``target_weight``
            (M, K) of M people, the smallest first; float32. And ``instance_coords`` int32 (M, 2), their middles.
        """
        points, visible = keypoints_k2 / self.stride, np.asarray(visible_k, np.float32)
        boxes_p22 = np.stack([_box(joints[seen > 0]) for joints, seen in zip(points, visible, strict=True)])
        height, width = (boxes_p22[:, 1] - boxes_p22[:, 0]).T[::-1]
        diagonal = np.hypot(height, width)
        if corners_p42 is not None:
            corners = corners_p42 / self.stride
            height, width = (np.linalg.norm(corners[:, 0] - corners[:, i], axis=-1) for i in (1, 2))
        sigma = self._sigma(height, width)
        root = boxes_p22.mean(1) if self.root_type == 'bbox_center' else _mean(points, visible)
        everything = [
            draw_gaussians(np.vstack([joints, middle]), np.append(seen, seen.any()), self.heatmap_size, spread)
            for joints, middle, seen, spread in zip(points, root, visible, sigma, strict=True)
        ]
        chosen = [i for i in diagonal.argsort() if everything[i][1][-1] >= 1]
        if rng is not None:
            root = root + rng.integers(-1, 2, root.shape)
            chosen = [chosen[i] for i in rng.permutation(len(chosen))[: self.encode_max_instances]]
        chosen = chosen[: self.encode_max_instances]
        map_shape = (-1, *self.heatmap_size[::-1])
        return {
            'target': np.max([maps for maps, _ in everything], axis=0),
            'instance_target': np.array([everything[i][0][:-1] for i in chosen], np.float32).reshape(map_shape),
            'target_weight': np.array([everything[i][1][:-1] for i in chosen], np.float32).reshape(-1, len(visible[0])),
            'instance_coords': root[chosen].clip(0, np.array(self.heatmap_size) - 1).astype(np.int32),
        }

    def decode(self, outputs: Sequence[Tensor]) -> Keypoints:
        """From maps ``(P, K, H, W)`` of P people and a score for each ``(P, 1)``, which those of joints are times."""
        heatmap_pkhw, score_p1 = (output.detach().float() for output in outputs)
        xy, score = get_heatmap_maximum(heatmap_pkhw)
        return self.to_input(refine_keypoints(xy, heatmap_pkhw, '1.x')), score * score_p1

    def _sigma(self, height_p: np.ndarray, width_p: np.ndarray) -> np.ndarray:
        """A third of the least root of three equations, for boxes inside, outside, and beside a person's.

        CornerNet, Law and Deng, 2018, arXiv:1808.01244, whose code leaves the leading factor out of the denominators.
        """
        overlap, around, area = self.heatmap_min_overlap, height_p + width_p, height_p * width_p
        equations = (
            (1, around, area * (1 - overlap) / (1 + overlap)),
            (4, 2 * around, area * (1 - overlap)),
            (4 * overlap, -2 * overlap * around, area * (overlap - 1)),
        )
        return np.min([(b + np.sqrt(b**2 - 4 * a * c)) / 2 for a, b, c in equations], axis=0) / 3


def _box(points_n2: np.ndarray) -> np.ndarray:
    return np.stack([points_n2.min(0), points_n2.max(0)]) if len(points_n2) else np.zeros((2, 2))


def _mean(points_pk2: np.ndarray, visible_pk: np.ndarray) -> np.ndarray:
    seen_pk1 = (visible_pk > 0)[..., None]
    return (points_pk2 * seen_pk1).sum(1) / np.maximum(seen_pk1.sum(1), 1)
