"""Resizes by the shorter side, with a limit for the longer one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array, Drawn
from intarsia.data.transforms.transform import Results
from intarsia.tasks.segmentation.transforms.resize import Resize


@TRANSFORMS.register_module()
class ResizeShortestEdge(Resize):
    """Resize an image (bilinear) and its masks (nearest) so that the shorter side has a length.

    If the longer side became too long, it gets its greatest length instead. Sets what
    :class:`~intarsia.tasks.segmentation.transforms.resize.Resize` sets.

    Args:
        scale: Length of the shorter side; of two numbers the smaller one.
        max_size: Greatest length of the longer side.
    """

    def __init__(self, scale: int | Sequence[int], max_size: int) -> None:
        super().__init__()
        self.max_size = max_size
        self.lengths: tuple[int, ...] = (scale if isinstance(scale, int) else min(scale),)

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'scale': (width, height)}``."""
        length = self.lengths[int(rng.integers(len(self.lengths)))] if len(self.lengths) > 1 else self.lengths[0]
        height, width = img.shape[:2]
        factor = length / min(height, width)
        new_height, new_width = (float(length), factor * width) if height < width else (factor * height, float(length))
        shrink = min(1.0, self.max_size / max(new_height, new_width))
        return {'scale': (int(new_width * shrink + 0.5), int(new_height * shrink + 0.5))}

    def draw_for(self, results: Results, rng: np.random.Generator) -> Drawn | None:
        """A draw for the image of the sample."""
        return self.draw(rng, results['img'])


@TRANSFORMS.register_module()
class RandomChoiceResize(ResizeShortestEdge):
    """As :class:`ResizeShortestEdge`, with a length that is drawn.

    Args:
        scales: The lengths to draw from.
        max_size: Greatest length of the longer side.
        resize_type: Must be ``'ResizeShortestEdge'``; a choice of whole sizes is
            :class:`~intarsia.tasks.segmentation.transforms.resize.Resize` with several scales.

    Raises:
        ValueError: Another ``resize_type``.
    """

    def __init__(self, scales: Sequence[int], max_size: int, resize_type: str = 'ResizeShortestEdge') -> None:
        if resize_type != 'ResizeShortestEdge':
            raise ValueError(f"RandomChoiceResize: resize_type must be 'ResizeShortestEdge', not {resize_type!r}")
        super().__init__(scales[0], max_size)
        self.lengths = tuple(scales)
