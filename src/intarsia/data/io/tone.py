"""Operations that map each grey value to another, whatever its place: one table look-up a pixel."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_VALUES = np.arange(256)


def apply_table(img: Array, table: Array) -> Array:
    """Replace every value by its entry in a table.

    Args:
        img: ``(H, W)`` or ``(H, W, C)`` uint8.
        table: ``(256,)``, or ``(256, C)`` with one column a channel. Fractions are cut off, not rounded.

    Raises:
        TypeError: The image is not uint8.
    """
    if img.dtype != np.uint8:
        raise TypeError(f'grey values are replaced in uint8 images, not in {img.dtype}')
    columns = 1 if table.ndim == 1 else table.shape[1]
    entries = np.clip(table, 0, 255).astype(np.uint8).reshape(1, 256, columns)
    return cv2.LUT(img, entries).reshape(img.shape)


def linear_table(factor: float, offset: float = 0.0) -> Array:
    """``value * factor + offset`` of the 256 grey values: float32 within 0 ... 255, then uint8, fractions cut off."""
    return np.clip(_VALUES.astype(np.float32) * float(factor) + float(offset), 0, 255).astype(np.uint8)


def invert(img: Array) -> Array:
    """The negative: ``255 - img``."""
    return 255 - img


def solarize(img: Array, threshold: float) -> Array:
    """The negative of values from ``threshold`` on."""
    return apply_table(img, np.where(threshold > _VALUES, _VALUES, 255 - _VALUES))


def solarize_add(img: Array, amount: float, threshold: float = 128) -> Array:
    """Add ``amount`` to values below ``threshold``, up to 255."""
    return apply_table(img, np.where(threshold > _VALUES, _VALUES + amount, _VALUES))


def posterize(img: Array, bits: int) -> Array:
    """Keep the ``bits`` (0 to 8) highest bits of each value."""
    shift = 8 - bits
    return apply_table(img, _VALUES >> shift << shift)


def equalize(img: Array) -> Array:
    """Spread the values of each channel so that all are about equally frequent (as Pillow's ``ImageOps`` does)."""
    return apply_table(img, np.stack([_equalizing(h) for h in _histograms(img)], axis=1))


def auto_contrast(img: Array) -> Array:
    """Stretch each channel so that its darkest value becomes 0 and its lightest 255."""
    return apply_table(img, np.stack([_stretching(h) for h in _histograms(img)], axis=1))


def _histograms(img: Array) -> list[NDArray[np.int64]]:
    """How often each value occurs, by channel."""
    channels = cv2.split(img) if img.ndim == 3 else (img,)
    return [np.bincount(channel.reshape(-1), minlength=256) for channel in channels]


def _equalizing(histogram: NDArray[np.int64]) -> Array:
    step = (histogram.sum() - histogram[np.flatnonzero(histogram)[-1]]) // 255
    if step == 0:
        return _VALUES
    below = np.cumsum(histogram) - histogram
    table = (below + step // 2) // step
    table[0] = 0
    return table


def _stretching(histogram: NDArray[np.int64]) -> Array:
    low, high = np.flatnonzero(histogram)[[0, -1]]
    if low == high:
        return _VALUES
    scale = 255.0 / (high - low)
    return _VALUES * scale - low * scale
