"""Random rotation of segmentation pipelines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.affine import rotate
from intarsia.data.transforms.image_transform import Array, Drawn, require_probability, three_channels
from intarsia.tasks.segmentation.transforms.joint_transform import JointTransform


@TRANSFORMS.register_module()
class RandomRotate(JointTransform):
    """Rotate an image (bilinear) and its masks (nearest) by a random angle.

    Args:
        prob: Probability of doing so.
        degree: Range of angles, clockwise; one number ``d`` means ``(-d, d)``.
        pad_val: Colour of what comes from outside, a number or one for each of three channels.
        seg_pad_val: Its label.
        center: ``(x, y)`` of the pixel that stays; the middle of the image if not given.
        auto_bound: Enlarge the frame so that no corner is cut off; not together with ``center``.
    """

    def __init__(
        self,
        prob: float,
        degree: float | Sequence[float],
        pad_val: float | Sequence[float] = 0,
        seg_pad_val: int = 255,
        center: Sequence[float] | None = None,
        auto_bound: bool = False,
    ) -> None:
        self.prob = require_probability('prob', prob)
        if isinstance(degree, (int, float)):
            degree = (-abs(degree), abs(degree))
        self.degree = float(min(degree)), float(max(degree))
        self.pad_val = three_channels('pad_val', pad_val)
        self.seg_pad_val = seg_pad_val
        self.center = None if center is None else (float(center[0]), float(center[1]))
        self.auto_bound = auto_bound
        if self.center is not None and auto_bound:
            raise ValueError('RandomRotate: auto_bound moves the centre; give one of center and auto_bound')

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'degree': ...}``."""
        return {'degree': rng.uniform(*self.degree)} if rng.random() < self.prob else None

    def apply(self, img: Array, degree: float) -> Array:
        """The rotated image."""
        return rotate(img, degree, self.center, border=self.pad_val, auto_bound=self.auto_bound)

    def apply_to_mask(self, mask: Array, degree: float) -> Array:
        """The rotated mask."""
        border = (self.seg_pad_val,)
        return rotate(mask, degree, self.center, border=border, interpolation='nearest', auto_bound=self.auto_bound)
