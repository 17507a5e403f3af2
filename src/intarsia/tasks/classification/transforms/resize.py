"""Resize of classification pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import Size, interpolation_code, resize
from intarsia.data.transforms.image_transform import Array, ImageTransform, require_choice
from intarsia.data.transforms.transform import Results


@TRANSFORMS.register_module()
class Resize(ImageTransform):
    """Resize to a size, or one side to a length with the aspect ratio kept.

    Sets ``scale_factor`` to ``(new width / width, new height / height)``.

    Args:
        size: ``(height, width)``; a single number makes a square of it; ``(length, -1)`` gives ``adaptive_side`` that
            length, the other side is ``int(length * other / side)``.
        interpolation: Name of an interpolation that the backend has.
        adaptive_side: ``'short'``, ``'long'``, ``'height'`` or ``'width'``.
        backend: ``'cv2'`` or ``'pillow'``; only the latter smooths when it shrinks.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: Literal['nearest', 'bilinear', 'bicubic', 'area', 'lanczos', 'box', 'hamming'] = 'bilinear',
        adaptive_side: Literal['short', 'long', 'height', 'width'] = 'short',
        backend: Literal['cv2', 'pillow'] = 'cv2',
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        if height <= 0 or (width <= 0 and width != -1):
            raise ValueError(f'Resize needs positive sizes, (length, -1) to keep the aspect ratio, not {size}')
        interpolation_code(interpolation, backend)
        self.size = height, width
        self.interpolation = interpolation
        self.adaptive_side = require_choice('adaptive_side', adaptive_side, ('short', 'long', 'height', 'width'))
        self.backend = backend

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Resize; nothing is drawn."""
        before = results['img'].shape
        super().__call__(results, rng)
        after = results['img'].shape
        results['scale_factor'] = (after[1] / before[1], after[0] / before[0])
        return results

    def apply(self, img: Array) -> Array:
        """The image in its new size; itself if it has that size."""
        return resize(img, self.target_size(*img.shape[:2]), self.interpolation, self.backend)

    def target_size(self, height: int, width: int) -> Size:
        """``(height, width)`` of the result for an image of this size."""
        length, other = self.size
        if other != -1:
            return self.size
        side = self.adaptive_side
        if side in ('short', 'long'):
            side = 'width' if (width < height) == (side == 'short') else 'height'
        if length == (width if side == 'width' else height):
            return height, width
        if side == 'width':
            return int(length * height / width), length
        return length, int(length * width / height)
