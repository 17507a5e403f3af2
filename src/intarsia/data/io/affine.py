"""Rotation, shear and translation within the frame of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from intarsia.data.io.geometry import interpolation_code

Array = NDArray[Any]
Color = Sequence[float]
Direction = Literal['horizontal', 'vertical']


def rotate(
    img: Array,
    angle: float,
    center: tuple[float, float] | None = None,
    scale: float = 1.0,
    border: Color = (0, 0, 0),
    interpolation: str = 'bilinear',
) -> Array:
    """Rotate an image.

    Args:
        img: ``(H, W)`` or ``(H, W, C)``.
        angle: Degrees, clockwise.
        center: ``(x, y)`` of the pixel that stays; the middle of the image if not given.
        scale: Zoom about the centre.
        border: Colour of what comes from outside, by channel.
        interpolation: A name OpenCV has, see :data:`intarsia.data.io.geometry.INTERPOLATIONS`.
    """
    height, width = img.shape[:2]
    middle = center if center is not None else ((width - 1) * 0.5, (height - 1) * 0.5)
    return _warp(img, cv2.getRotationMatrix2D(middle, -angle, scale), border, interpolation)


def shear(
    img: Array,
    magnitude: float,
    direction: Direction = 'horizontal',
    border: Color = (0, 0, 0),
    interpolation: str = 'bilinear',
) -> Array:
    """Shift each row (``'horizontal'``) or column by ``magnitude`` times its number; see :func:`rotate`."""
    matrix = np.eye(2, 3, dtype=np.float32)
    matrix[(0, 1) if direction == 'horizontal' else (1, 0)] = magnitude
    return _warp(img, matrix, border, interpolation)


def translate(
    img: Array,
    offset: float,
    direction: Direction = 'horizontal',
    border: Color = (0, 0, 0),
    interpolation: str = 'bilinear',
) -> Array:
    """Shift the image by ``offset`` pixels, to the right or (``'vertical'``) down; see :func:`rotate`."""
    matrix = np.eye(2, 3, dtype=np.float32)
    matrix[0 if direction == 'horizontal' else 1, 2] = offset
    return _warp(img, matrix, border, interpolation)


def _warp(img: Array, matrix: Array, border: Color, interpolation: str) -> Array:
    height, width = img.shape[:2]
    code = interpolation_code(interpolation)
    warped = cv2.warpAffine(img, matrix, (width, height), flags=code, borderValue=tuple(border))
    return warped.reshape(img.shape)
