"""What transforms of clips have in common: draw once for a sample, then change all of its frames alike.

Frames are uint8 ``(H, W, 3)`` in RGB order; those of optical flow are ``(H, W)``, x and y in turns, or ``(H, W, 2)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.io.geometry import Size
from intarsia.data.transforms.image_transform import Array, Drawn
from intarsia.data.transforms.transform import Results, Transform

Frames = Sequence[Array]


@dataclass(frozen=True)
class Pending:
    """What lazy steps have noted for ``Fuse``: cut out a box, resize it, mirror it.

    Attributes:
        box: ``(left, top, right, bottom)`` in pixels of the frames as they are.
        interpolation: Of the resize.
        direction: How to mirror, ``'horizontal'`` or ``'vertical'``; None for not at all.
    """

    box: tuple[float, float, float, float]
    interpolation: str = 'bilinear'
    direction: str | None = None

    def cropped(self, left: int, top: int, width: int, height: int, size: Size) -> Pending:
        """With a part of the box, given in pixels of frames that have been resized to ``size``."""
        first_column, first_row, last_column, last_row = self.box
        across, down = (last_column - first_column) / size[1], (last_row - first_row) / size[0]
        box = (
            first_column + left * across,
            first_row + top * down,
            first_column + (left + width) * across,
            first_row + (top + height) * down,
        )
        return replace(self, box=box)


class ClipTransform(Transform):
    """A step that changes the frames of a sample, and its key points and boxes where they move.

    Frames are in ``imgs`` (a sample of key points may have none), their ``(height, width)`` in ``img_shape``.

    Args:
        lazy: Only note what is to be done, in ``results['lazy']``; ``Fuse`` then does all of it in one go.
    """

    change: Callable[..., Results]
    """``change(results, **drawn)``: the deterministic part."""

    def __init__(self, lazy: bool = False) -> None:
        self.lazy = lazy

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """The arguments of :attr:`change`, or None to leave the sample alone.

        Args:
            rng: The source of randomness.
            size: ``(height, width)`` of the frames.
        """
        return {}

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw once, change every frame.

        Raises:
            DataError: Lazy steps precede one that is not, or more than frames would have to be moved lazily.
        """
        name = type(self).__name__
        size = frame_size(results)
        if not self.lazy and 'lazy' in results:
            raise DataError(f'lazy steps precede {name}, which is not lazy: put Fuse between them')
        if self.lazy:
            others = [key for key in ('keypoint', 'gt_bboxes') if key in results]
            if others:
                raise DataError(f'{name}(lazy=True) moves frames only, but the sample has {", ".join(others)}')
            results.setdefault('lazy', Pending((0, 0, size[1], size[0])))
        drawn = self.draw(rng, size)
        return results if drawn is None else self.change(results, **drawn)

    def pending(self, results: Results) -> Pending:
        """What lazy steps have noted so far.

        Raises:
            DataError: One of them was a ``Flip``, which has to be the last.
        """
        noted: Pending = results['lazy']
        if noted.direction is not None:
            raise DataError(f'Flip must be the last lazy step, but {type(self).__name__} follows it')
        return noted


def frame_size(results: Results) -> Size:
    """``(height, width)`` of the frames; notes it as ``img_shape`` where that is missing."""
    if 'img_shape' not in results:
        results['img_shape'] = results['imgs'][0].shape[:2]
    height, width = results['img_shape'][:2]
    return int(height), int(width)


def change_boxes(results: Results, change: Callable[[Array], Array]) -> None:
    """Give ``gt_bboxes`` and ``proposals``, each ``(B, 4)`` or not there, new values."""
    for key in ('gt_bboxes', 'proposals'):
        if results.get(key) is not None:
            results[key] = change(results[key])


def is_flow(results: Results) -> bool:
    """Whether frames are optical flow."""
    return bool(results.get('modality') == 'Flow')


def flow_pairs(frames: Any) -> Any:
    """Frames ``(H, W)``, x and y in turns, as half as many of ``(H, W, 2)``; other frames as they are.

    Raises:
        DataError: An odd number of frames.
    """
    if frames[0].ndim != 2:
        return frames
    if len(frames) % 2:
        raise DataError(f'frames of flow are pairs of x and y, but there are {len(frames)} of them')
    return [cv2.merge(pair) for pair in zip(frames[::2], frames[1::2], strict=True)]
