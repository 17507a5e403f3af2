"""Random crop of segmentation pipelines."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import crop
from intarsia.data.transforms.image_transform import Array, Drawn
from intarsia.data.transforms.transform import Results
from intarsia.tasks.segmentation.transforms.joint_transform import JointTransform

MAX_REDRAWS = 10


@TRANSFORMS.register_module()
class RandomCrop(JointTransform):
    """Cut out a part at a random place; a side that is too short stays whole.

    Args:
        crop_size: ``(height, width)``, or one number for both.
        cat_max_ratio: Draw again, up to ten times, while one class has this share of the labelled pixels or more.
        ignore_index: Label that does not count.
    """

    def __init__(self, crop_size: int | Sequence[int], cat_max_ratio: float = 1.0, ignore_index: int = 255) -> None:
        height, width = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
        if height <= 0 or width <= 0:
            raise ValueError(f'crop_size is (height, width), both positive, not {crop_size}')
        self.crop_size = height, width
        self.cat_max_ratio = cat_max_ratio
        self.ignore_index = ignore_index

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'top': ..., 'left': ...}``."""
        room = (max(0, side - part) for side, part in zip(img.shape[:2], self.crop_size, strict=True))
        top, left = (int(rng.integers(margin + 1)) for margin in room)
        return {'top': top, 'left': left}

    def draw_for(self, results: Results, rng: np.random.Generator) -> Drawn:
        """A place, drawn again while one class fills it."""
        drawn = self.draw(rng, results['img']) or {}
        if self.cat_max_ratio < 1:
            for _ in range(MAX_REDRAWS):
                if self.is_varied(self.apply_to_mask(results['gt_semantic_seg'], **drawn)):
                    break
                drawn = self.draw(rng, results['img']) or {}
        return drawn

    def is_varied(self, mask: Array) -> bool:
        """Whether a mask ``(H, W)`` uint8 has two classes or more, none with too great a share."""
        counts = cv2.calcHist([mask], [0], None, [256], [0, 256]).reshape(-1)
        if 0 <= self.ignore_index < 256:
            counts[self.ignore_index] = 0
        return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio)

    def apply(self, img: Array, top: int, left: int) -> Array:
        """A view of the part."""
        return crop(img, top, left, *self.crop_size)

    def apply_to_mask(self, mask: Array, top: int, left: int) -> Array:
        """A view of the part."""
        return crop(mask, top, left, *self.crop_size)
