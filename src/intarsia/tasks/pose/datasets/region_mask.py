"""Regions of images as COCO writes them: polygons, or runs of pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.transforms.image_transform import Array


def draw_region(segmentation: Any, size: Sequence[int]) -> Array:
    """The pixels of a region, bool ``(H, W)``.

    Args:
        segmentation: Polygons ``[[x, y, x, y, ...], ...]``, or runs: ``counts``, in turn outside and inside, down one
            column after the other, as numbers or in the letters of COCO; and ``size``, height and width.
        size: Height and width.

    Raises:
        DataError: It is neither, or of another size.
    """
    if isinstance(segmentation, Mapping):
        return _of_runs(segmentation, size)
    inside = np.zeros(tuple(size), bool)
    for polygon in segmentation:
        inside |= _of_polygon(np.array(polygon, np.float64).reshape(-1, 2), size)
    return inside


def _of_polygon(corners: Array, size: Sequence[int]) -> Array:
    """The pixels whose middles lie in a polygon: those with an odd number of edges to their left."""
    height, width = size
    middle = np.arange(height) + 0.5
    is_odd = np.zeros((height, width + 1), bool)
    for (x, y), (next_x, next_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        rows = np.flatnonzero((y <= middle) != (next_y <= middle))
        crossing = x + (middle[rows] - y) * ((next_x - x) / (next_y - y)) if rows.size else np.zeros(0)
        is_odd[rows, np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)] ^= True
    return np.logical_xor.accumulate(is_odd, axis=1)[:, :width]


def _of_runs(runs: Mapping[str, Any], size: Sequence[int]) -> Array:
    counts = runs['counts']
    lengths = read_counts(counts) if isinstance(counts, (str, bytes)) else list(counts)
    height, width = runs.get('size', size)
    if (height, width) != tuple(size) or sum(lengths) != height * width:
        raise DataError(f'runs of {sum(lengths)} pixels, {height}x{width}, for an image of {size[0]}x{size[1]}')
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def read_counts(text: str | bytes) -> list[int]:
    """The lengths of runs that are written in letters.

    A letter less 48 holds five bits, the lowest first, and in the sixth whether more follow; the highest of all is the
    sign. From the fourth run on, the difference to the last but one is written.
    """
    lengths: list[int] = []
    value = shift = 0
    for letter in text.encode() if isinstance(text, str) else text:
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths
