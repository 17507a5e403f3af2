"""Rectangles of random place and size, painted over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array, Drawn, require_probability, three_channels
from intarsia.tasks.segmentation.transforms.joint_transform import JointTransform


@TRANSFORMS.register_module()
class RandomCutOut(JointTransform):
    """Paint rectangles over an image, and over its masks if asked for.

    From "Improved Regularization of Convolutional Neural Networks with Cutout", DeVries, Taylor, 2017,
    arXiv:1708.04552.

    Args:
        prob: Probability of doing so.
        n_holes: How many rectangles; of two numbers, one in between (both included) is drawn.
        cutout_shape: ``(width, height)`` in pixels, or several, of which one is drawn for each rectangle.
        cutout_ratio: The same in shares of the image; give one of the two.
        fill_in: Colour, by channel.
        seg_fill_in: Label; None leaves the masks as they are.
    """

    def __init__(
        self,
        prob: float,
        n_holes: int | Sequence[int],
        cutout_shape: Sequence[Any] | None = None,
        cutout_ratio: Sequence[Any] | None = None,
        fill_in: float | Sequence[float] = (0, 0, 0),
        seg_fill_in: int | None = None,
    ) -> None:
        if (cutout_shape is None) == (cutout_ratio is None):
            raise ValueError('RandomCutOut needs either cutout_shape or cutout_ratio')
        self.prob = require_probability('prob', prob)
        self.n_holes = (n_holes, n_holes) if isinstance(n_holes, int) else (n_holes[0], n_holes[1])
        self.with_ratio = cutout_ratio is not None
        candidates: Sequence[Any] = cutout_ratio or cutout_shape or ()
        self.candidates = [candidates] if isinstance(candidates[0], (int, float)) else list(candidates)
        self.fill_in = three_channels('fill_in', fill_in)
        self.seg_fill_in = seg_fill_in

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``x`` and ``y`` of the upper left corners, and ``candidate``, the number of each one's size."""
        if rng.random() >= self.prob:
            return None
        height, width = img.shape[:2]
        count = int(rng.integers(self.n_holes[0], self.n_holes[1] + 1))
        drawn = [[int(rng.integers(end)) for end in (width, height, len(self.candidates))] for _ in range(count)]
        return dict(zip(('x', 'y', 'candidate'), zip(*drawn, strict=True), strict=True)) if drawn else None

    def apply(self, img: Array, x: Sequence[int], y: Sequence[int], candidate: Sequence[int]) -> Array:
        """A copy with the rectangles; what would lie outside is cut off."""
        painted = img.copy()
        for rows, columns in self._holes(img, x, y, candidate):
            painted[rows, columns] = self.fill_in if img.ndim == 3 else self.fill_in[0]
        return painted

    def apply_to_mask(self, mask: Array, x: Sequence[int], y: Sequence[int], candidate: Sequence[int]) -> Array:
        """The same for a mask."""
        if self.seg_fill_in is None:
            return mask
        painted = mask.copy()
        for rows, columns in self._holes(mask, x, y, candidate):
            painted[rows, columns] = self.seg_fill_in
        return painted

    def _holes(
        self, array: Array, x: Sequence[int], y: Sequence[int], candidate: Sequence[int]
    ) -> Iterator[tuple[slice, slice]]:
        height, width = array.shape[:2]
        for left, top, number in zip(x, y, candidate, strict=True):
            across, down = self.candidates[number]
            if self.with_ratio:
                across, down = int(across * width), int(down * height)
            yield slice(top, top + down), slice(left, left + across)
