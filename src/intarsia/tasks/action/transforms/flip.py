"""Mirror images of clips, and what lazy steps have noted.

Shapes: m people, t frames, v joints, b boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import Size, crop, flip, resize
from intarsia.data.io.tone import invert
from intarsia.data.transforms.image_transform import Array, Drawn, require_choice, require_probability
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.action.transforms.clip_transform import ClipTransform, Pending, change_boxes, is_flow

Direction = Literal['horizontal', 'vertical']


def mirrored(results: Results, direction: Any) -> list[Array]:
    """The frames of a sample, mirrored; in optical flow, motion to the left becomes motion to the right."""
    frames = [flip(img, direction) for img in results['imgs']]
    if is_flow(results):
        if direction != 'horizontal':
            raise DataError(f"optical flow is flipped in direction 'horizontal', not {direction!r}")
        frames = [_inverted(img, number) for number, img in enumerate(frames)]
    return frames


def _inverted(img: Array, number: int) -> Array:
    """A frame of flow with x inverted: the first channel, or every other frame."""
    if img.ndim == 3:
        return np.stack([invert(img[..., 0]), img[..., 1]], axis=-1)
    return invert(img) if number % 2 == 0 else img


@TRANSFORMS.register_module()
class Flip(ClipTransform):
    """Mirror frames with a probability, and key points and boxes with them; joints change sides.

    Sets ``flip`` (whether it was done) and ``flip_direction``.

    Args:
        flip_ratio: Probability of doing so.
        direction: ``'horizontal'``, or ``'vertical'`` for frames of colours alone.
        flip_label_map: Classes that become others in a mirror image, such as pushing to the left.
        left_kp: Joints on the left.
        right_kp: Joints on the right, in the same order.
        lazy: See :class:`~intarsia.tasks.action.transforms.clip_transform.ClipTransform`.
    """

    def __init__(
        self,
        flip_ratio: float = 0.5,
        direction: Direction = 'horizontal',
        flip_label_map: Mapping[int, int] | None = None,
        left_kp: Sequence[int] | None = None,
        right_kp: Sequence[int] | None = None,
        lazy: bool = False,
    ) -> None:
        super().__init__(lazy)
        self.flip_ratio = require_probability('flip_ratio', flip_ratio)
        self.direction: Direction = require_choice('direction', direction, ('horizontal', 'vertical'))
        if len(left_kp or ()) != len(right_kp or ()):
            raise ValueError(f'Flip needs as many joints in left_kp as in right_kp, not {left_kp} and {right_kp}')
        self.flip_label_map = flip_label_map
        self.left_kp = left_kp
        self.right_kp = right_kp

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """``{'flip': whether to mirror}``."""
        return {'flip': bool(rng.random() < self.flip_ratio)}

    def change(self, results: Results, flip: bool = True) -> Results:
        """Mirror, or only note that it was not done.

        Raises:
            DataError: Key points, boxes or flow would be flipped vertically.
        """
        results['flip'], results['flip_direction'] = flip, self.direction
        if not flip:
            return results
        if self.flip_label_map is not None:
            results['label'] = self.flip_label_map.get(results['label'], results['label'])
        if self.lazy:
            results['lazy'] = replace(self.pending(results), direction=self.direction)
            return results
        others = [key for key in ('keypoint', 'gt_bboxes') if key in results]
        if others and self.direction != 'horizontal':
            raise DataError(f"Flip(direction='vertical') mirrors frames only, but the sample has {', '.join(others)}")
        width = results['img_shape'][1]
        if 'imgs' in results:
            results['imgs'] = mirrored(results, self.direction)
        if 'keypoint' in results:
            self._mirror_joints(results, width)
        change_boxes(results, lambda boxes: _mirror_boxes(boxes, width))
        return results

    def _mirror_joints(self, results: Results, width: int) -> None:
        """Joints ``(M, T, V, C)`` change sides; those at 0 were not found, and stay there."""
        joints_mtvc = results['keypoint']
        order = np.arange(joints_mtvc.shape[2])
        order[list(self.left_kp or ())], order[list(self.right_kp or ())] = self.right_kp or (), self.left_kp or ()
        joints_mtvc = joints_mtvc[:, :, order]
        x_mtv = joints_mtvc[..., 0]
        joints_mtvc[..., 0] = np.where(x_mtv != 0, width - x_mtv, x_mtv)
        results['keypoint'] = joints_mtvc
        if results.get('keypoint_score') is not None:
            results['keypoint_score'] = results['keypoint_score'][:, :, order]


def _mirror_boxes(boxes: Array, width: int) -> Array:
    """Boxes ``(B, 4)``: right and left change places."""
    mirror = boxes.copy()
    mirror[..., 0], mirror[..., 2] = width - boxes[..., 2], width - boxes[..., 0]
    return mirror


@TRANSFORMS.register_module()
class Fuse(Transform):
    """Do what lazy steps have noted, in one go: cut out one box, resize it once, mirror it.

    This is faster than the steps one after the other, and gives other pixels where frames would be resized twice.
    """

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Change the frames; nothing is drawn.

        Raises:
            DataError: There is nothing to do.
        """
        if 'lazy' not in results:
            raise DataError('Fuse follows steps with lazy=True, but there was none')
        pending: Pending = results.pop('lazy')
        left, top, right, bottom = (round(edge) for edge in pending.box)
        parts = [crop(img, top, left, bottom - top, right - left) for img in results['imgs']]
        height, width = results['img_shape'][:2]
        results['imgs'] = [resize(img, (height, width), pending.interpolation) for img in parts]
        if pending.direction is not None:
            results['imgs'] = mirrored(results, pending.direction)
        return results
