"""Brightness, contrast, colour, sharpness, hue and lighting of BGR images.

A *factor* blends an image with a degenerate one (black, grey, blurred): 0 gives that one, 1 the image itself,
more goes beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from intarsia.data.io.color import bgr_to_gray, swap_red_blue
from intarsia.data.io.tone import apply_table

Array = NDArray[Any]
Backend = Literal['cv2', 'pillow']

_RAMP = np.arange(256)
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


def adjust_brightness(img: Array, factor: float, backend: Backend = 'cv2') -> Array:
    """Blend with black. ``(H, W, 3)`` uint8, as all images here."""
    if backend == 'pillow':
        return _through_pillow(img, lambda picture: ImageEnhance.Brightness(picture).enhance(factor))
    return apply_table(img, _within_range(_RAMP * factor))


def adjust_contrast(img: Array, factor: float, backend: Backend = 'cv2') -> Array:
    """Blend with the mean grey value of the image."""
    if backend == 'pillow':
        return _through_pillow(img, lambda picture: ImageEnhance.Contrast(picture).enhance(factor))
    gray = bgr_to_gray(img)
    mean = round(int(gray.sum(dtype=np.int64)) / gray.size)
    return apply_table(img, _within_range(_RAMP * factor + mean * (1 - factor)))


def adjust_color(img: Array, factor: float, backend: Backend = 'cv2') -> Array:
    """Blend with the grey version of the image."""
    if backend == 'pillow':
        return _through_pillow(img, lambda picture: ImageEnhance.Color(picture).enhance(factor))
    gray = cv2.cvtColor(bgr_to_gray(img), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(img, factor, gray, 1 - factor, 0)


def adjust_sharpness(img: Array, factor: float, kernel: Array = _SMOOTH) -> Array:
    """Blend with a version smoothed over 3x3 pixels, or filtered with another kernel."""
    smooth = cv2.filter2D(img, -1, kernel)
    blended = cv2.addWeighted(img, factor, smooth, 1 - factor, 0, dtype=cv2.CV_64F).reshape(img.shape)
    return _within_range(blended).astype(img.dtype)


def adjust_hue(img: Array, shift: float, backend: Backend = 'cv2') -> Array:
    """Turn the colour wheel.

    Args:
        img: ``(H, W, 3)`` uint8.
        shift: Part of a full turn, -0.5 to 0.5.
        backend: Which library converts to HSV and back.

    Raises:
        ValueError: More than half a turn.
    """
    if not -0.5 <= shift <= 0.5:
        raise ValueError(f'hue is shifted by -0.5 to 0.5 of a turn, not by {shift}')
    steps = np.uint8(int(shift * 255) % 256)
    if backend == 'pillow':
        return _through_pillow(img, lambda picture: _turn_pillow(picture, steps))
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV_FULL)
    hsv[..., 0] += steps
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)


def add_lighting(img: Array, eigval: Array, eigvec: Array, alpha: Array) -> Array:
    """Add a colour along the principal axes of natural images.

    From "ImageNet Classification with Deep Convolutional Neural Networks", Krizhevsky, Sutskever, Hinton, 2012.

    Args:
        img: ``(H, W, 3)``; its channels are in the order of ``eigvec``'s rows.
        eigval: ``(K,)`` variances along the axes.
        eigvec: ``(3, K)`` axes.
        alpha: ``(K,)`` how much of each.

    Returns:
        ``(H, W, 3)`` float64, not clipped.
    """
    return img + (eigvec * alpha * eigval).sum(axis=1)


def gaussian_blur(img: Array, radius: float) -> Array:
    """Blur with a Gaussian of that standard deviation, in pixels (Pillow's approximation by boxes)."""
    return np.array(Image.fromarray(img).filter(ImageFilter.GaussianBlur(radius)))


def _within_range(mixed: Array) -> Array:
    """The mixture within 0..255. It is rounded to float32 before its fraction is cut off: 99.99999999 becomes 100."""
    rounded = mixed.astype(np.float32)
    return np.clip(rounded, 0, 255, out=rounded)


def _through_pillow(img: Array, change: Callable[[Image.Image], Image.Image]) -> Array:
    return swap_red_blue(np.asarray(change(Image.fromarray(swap_red_blue(img)))))


def _turn_pillow(picture: Image.Image, steps: np.uint8) -> Image.Image:
    hue, saturation, value = picture.convert('HSV').split()
    turned = Image.fromarray(np.asarray(hue) + steps)
    return Image.merge('HSV', (turned, saturation, value)).convert('RGB')
