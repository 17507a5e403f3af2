"""Where the people in an image are: given, found by a detector, or the image as a whole.

Shapes: p people, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.io.image import read_image

Detector = Callable[[np.ndarray], Any]
"""An image, uint8 BGR ``(H, W, 3)``, to boxes ``(P, 4)`` or ``(P, 5)``: x, y, width, height, score."""

Boxes = Sequence[Any] | Detector | None
"""Boxes of each image, a detector that finds them, or None for the image as a whole."""


def boxes_of(images: Sequence[Any], boxes: Boxes) -> tuple[list[dict[str, Any]], list[int]]:
    """The people to look at.

    Args:
        images: Files, or uint8 BGR arrays.
        boxes: Where the people are in each.

    Returns:
        For each person the starting dict of a pipeline, with ``img`` (BGR), ``bbox`` and ``bbox_score``; and how many
        people each image has.

    Raises:
        DataError: There are not boxes for each image, or a box has other than 4 or 5 numbers, or no size.
    """
    if boxes is not None and not callable(boxes) and len(boxes) != len(images):
        raise DataError(f'{len(boxes)} arrays of boxes for {len(images)} images')
    crops: list[dict[str, Any]] = []
    counts = []
    for i, image in enumerate(images):
        array = image if isinstance(image, np.ndarray) else read_image(image)
        found = _checked(boxes(array) if callable(boxes) else None if boxes is None else boxes[i], array)
        name = str(image) if isinstance(image, (str, Path)) else f'image {i}'
        crops += [{'img': array, 'image_file': name, 'bbox': box[:4], 'bbox_score': box[4]} for box in found]
        counts.append(len(found))
    return crops, counts


def _checked(boxes: Any, image_hwc: np.ndarray) -> np.ndarray:
    """Boxes with scores, float32 ``(P, 5)``."""
    if boxes is None:
        return np.array([[0, 0, image_hwc.shape[1], image_hwc.shape[0], 1]], np.float32)
    rows = [np.asarray(row, np.float32).reshape(-1) for row in boxes]
    for row in rows:
        if len(row) not in (4, 5):
            raise DataError(f'a box is x, y, width, height and perhaps a score, not {len(row)} numbers: {row.tolist()}')
        if not np.isfinite(row).all() or (row[2:4] <= 0).any():
            raise DataError(f'a box has no size: {row[:4].tolist()} (x, y, width, height)')
    return np.array([[*row[:4], row[4] if len(row) == 5 else 1] for row in rows], np.float32).reshape(-1, 5)
