"""Whole images, with all people in them, to the size of the network's input: training.

Shapes: p people, k joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array, Drawn, require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.pose.transforms.affine import crop, crop_matrix, move, udp_matrix
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD


def pair(size: Any) -> tuple[int, int]:
    """Width and height, from one number or two."""
    width, height = np.broadcast_to(np.asarray(size), 2).tolist()
    return int(width), int(height)


@TRANSFORMS.register_module()
class BottomUpRandomAffine(Transform):
    """Scale, turn and shift the image to ``image_size``, and masks and joints to each of ``heatmap_size``.

    Args:
        rot_factor: Greatest angle in degrees.
        scale_factor: Least and greatest factor of the part of the image that is shown.
        scale_type: Which side of the image fits the input: ``'long'`` shows all of it, ``'short'`` fills the frame.
        trans_factor: Greatest shift, in 200ths of the part's sides.
        use_udp: Count sizes in gaps between pixels.
    """

    def __init__(
        self,
        rot_factor: float,
        scale_factor: Sequence[float],
        scale_type: Literal['long', 'short'],
        trans_factor: float,
        use_udp: bool = False,
    ) -> None:
        self.rot_factor = rot_factor
        self.scale_factor = scale_factor[0], scale_factor[1]
        self.scale_type = require_choice('scale_type', scale_type, ('long', 'short'))
        self.trans_factor = trans_factor
        self.use_udp = use_udp

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn:
        """``scale``, ``rotation`` in degrees, and ``shift`` in x and y in pixels."""
        scale = rng.uniform(*self.scale_factor)
        rotation = rng.uniform(-self.rot_factor, self.rot_factor)
        most = [int(self.trans_factor * side * scale / PIXEL_STD) for side in img.shape[1::-1]]
        shift = [int(rng.integers(-each, each)) if each else 0 for each in most]
        return {'scale': scale, 'rotation': rotation, 'shift': shift}

    def apply(self, results: Results, scale: float, rotation: float, shift: Sequence[float]) -> Results:
        """Transform image, masks, joints (and boxes)."""
        info, img = results['ann_info'], results['img']
        height, width = img.shape[:2]
        edge = 1 if self.use_udp else 0
        center = np.array([(width - edge) / 2, (height - edge) / 2]) + shift
        shown = np.array([width, height], np.float32) * np.float32(scale)

        def matrix_to(size: tuple[int, int]) -> Array:
            part = self.part(shown, size)
            if self.use_udp:
                return udp_matrix(center, part, rotation, size)
            return crop_matrix(center, part / PIXEL_STD, rotation, size)

        sizes = [pair(size) for size in info['heatmap_size']]
        matrices = [matrix_to(size) for size in sizes]
        results['mask'] = [
            _warp_mask(mask, matrix, size)
            for mask, matrix, size in zip(results['mask'], matrices, sizes, strict=True)
        ]  # fmt: skip
        joints = [each.copy() for each in results['joints']]
        for each_pk, matrix in zip(joints, matrices, strict=True):
            each_pk[..., :2] = move(each_pk[..., :2], matrix)
            if info.get('scale_aware_sigma', False):
                each_pk[..., 3] /= scale
        results['joints'] = joints
        if 'bboxes' in results:
            results['bboxes'] = move(results['bboxes'], matrices[0])
        size = pair(info['image_size'])
        results['img'] = crop(img, matrix_to(size), size)
        return results

    def part(self, shown: Array, size: Sequence[int]) -> Array:
        """Width and height of the part with the proportions of ``size`` that holds, or lies in, what is to be shown."""
        width, height = shown.tolist()
        ratio = size[0] / size[1]
        is_wide = width >= height * ratio
        by_width = is_wide if self.scale_type == 'long' else not is_wide
        sides = (width, width / ratio) if by_width else (height * ratio, height)
        return np.array(sides, np.float32)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw and transform."""
        return self.apply(results, **self.draw(rng, results['img']))


def _warp_mask(mask: Array, matrix: Array, size: tuple[int, int]) -> Array:
    """A mask of 0 and 1, float32; interpolated values are rounded."""
    return (crop((mask * 255).astype(np.uint8), matrix, size) > 127).astype(np.float32)
