"""Centring and scaling of pixel values."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from intarsia.data.io.color import swap_red_blue

Array = NDArray[Any]


def normalization_table(mean: Array, std: Array) -> NDArray[np.float32]:
    """What each of the 256 grey values becomes: ``(C, 256)`` float32 for ``(C,)`` ``mean`` and ``std``."""
    return np.stack([_center_and_scale(np.arange(256), m, s) for m, s in zip(mean, std, strict=True)])


def normalize(img: Array, mean: Array, std: Array, to_rgb: bool = True, table: Array | None = None) -> Array:
    """``(img - mean) / std`` by channel, in float32.

    Args:
        img: ``(H, W)`` or ``(H, W, C)``; uint8 is looked up in a table, others are calculated.
        mean: ``(C,)``, in the order of the result.
        std: ``(C,)``, likewise.
        to_rgb: Whether to reverse the order of three channels first.
        table: :func:`normalization_table` of ``mean`` and ``std``, if at hand.

    Returns:
        Float32 of the shape of ``img``. Its memory is laid out channel by channel, so that the ``(C, H, W)``
        tensor made of it next costs no copy.

    Raises:
        ValueError: ``mean`` and ``img`` have different numbers of channels.
    """
    planes = list(cv2.split(img)) if img.ndim == 3 else [img]
    if len(planes) != len(mean):
        raise ValueError(f'an image of shape {img.shape} cannot be normalized with {len(mean)} means')
    if to_rgb and len(planes) == 3:
        planes.reverse()
    out = np.empty((len(planes), *img.shape[:2]), np.float32)
    if img.dtype == np.uint8:
        rows = normalization_table(mean, std) if table is None else table
        for plane, row, target in zip(planes, rows, out, strict=True):
            cv2.LUT(plane, row, target)
    else:
        for plane, target, m, s in zip(planes, out, mean, std, strict=True):
            target[:] = _center_and_scale(plane.astype(np.float32), m, s)
    return out.transpose(1, 2, 0) if img.ndim == 3 else out[0]


def denormalize(img: Array, mean: Array, std: Array, to_bgr: bool = True) -> Array:
    """Undo :func:`normalize`: ``img * std + mean``, float32, then the channels in BGR order if asked for."""
    restored = (img * np.asarray(std)).astype(np.float32) + np.asarray(mean, np.float32)
    return swap_red_blue(restored) if to_bgr else restored


def _center_and_scale(plane: Array, mean: Any, std: Any) -> Array:
    """Calculated in double, rounded to float32 after each step, as OpenCV does."""
    centered = (plane.astype(np.float64) - float(mean)).astype(np.float32)
    return (centered.astype(np.float64) * (1 / float(std))).astype(np.float32)
