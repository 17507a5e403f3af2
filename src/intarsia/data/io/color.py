"""Order of channels, and grey values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def swap_red_blue(img: Array) -> Array:
    """BGR to RGB or back, alpha staying last; an image without colours is returned as it is.

    Args:
        img: ``(H, W)`` or ``(H, W, C)``, any dtype OpenCV knows.
    """
    channels = img.shape[2] if img.ndim == 3 else 1
    if channels == 3:
        return cv2.cvtColor(img, cv2.COLOR_BGR2RGB)
    if channels == 4:
        return cv2.cvtColor(img, cv2.COLOR_BGRA2RGBA)
    return img


def to_gray(img: Array, weights: Sequence[float] | None = None) -> Array:
    """One grey value a pixel.

    Args:
        img: ``(H, W, 3)`` uint8.
        weights: Share of each channel, scaled to sum to one; fractions are cut off. Without them the first channel
            counts 0.299, the second 0.587, the third 0.114, rounded (the weights of R, G, B).

    Returns:
        ``(H, W)`` uint8.
    """
    if weights is None:
        return cv2.cvtColor(img, cv2.COLOR_RGB2GRAY)
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    return (shares * img).sum(axis=2).astype(img.dtype)


def bgr_to_gray(img: Array) -> Array:
    """Luma of a BGR image: ``(H, W, 3)`` to ``(H, W)``, same dtype."""
    return cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
