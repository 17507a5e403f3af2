"""Rotation, shear and translation within the frame of the image.

OpenCV 5 computes ``warpAffine`` in another way than OpenCV 4. Here the coordinates are computed in fixed point, as
version 4 does, and OpenCV only interpolates: the pixels are those that published results were trained on (from
version 5 on, bicubic ones may be one grey level off).
"""

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

FRACTION_BITS = 10
"""Of coordinates."""
SUBPIXEL_BITS = 5
"""Of them, those that choose the weights of interpolation."""


def rotate(
    img: Array,
    angle: float,
    center: tuple[float, float] | None = None,
    scale: float = 1.0,
    border: Color = (0, 0, 0),
    interpolation: str = 'bilinear',
    auto_bound: bool = False,
    border_mode: int = cv2.BORDER_CONSTANT,
) -> Array:
    """Rotate an image.

    Args:
        img: ``(H, W)`` or ``(H, W, C)``, at most 32767 pixels a side.
        angle: Degrees, clockwise.
        center: ``(x, y)`` of the pixel that stays; the middle of the image if not given.
        scale: Zoom about the centre.
        border: Colour of what comes from outside, by channel.
        interpolation: A name OpenCV has, see :data:`intarsia.data.io.geometry.INTERPOLATIONS`.
        auto_bound: Make the frame as large as the whole rotated image needs; otherwise it stays, and cuts corners off.
        border_mode: OpenCV's number for what comes from outside, if it is not a colour.
    """
    height, width = img.shape[:2]
    middle = center if center is not None else ((width - 1) * 0.5, (height - 1) * 0.5)
    matrix = cv2.getRotationMatrix2D(middle, -angle, scale)
    if not auto_bound:
        return warp(img, matrix, border, interpolation, border_mode=border_mode)
    cos, sin = np.abs(matrix[0, :2])
    new_width, new_height = height * sin + width * cos, height * cos + width * sin
    matrix[:, 2] += (new_width - width) * 0.5, (new_height - height) * 0.5
    return warp(img, matrix, border, interpolation, (round(new_height), round(new_width)), border_mode)


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
    return warp(img, matrix, border, interpolation)


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
    return warp(img, matrix, border, interpolation)


def warp(
    img: Array,
    matrix: Array,
    border: Color,
    interpolation: str,
    size: tuple[int, ...] | None = None,
    border_mode: int = cv2.BORDER_CONSTANT,
) -> Array:
    """Put each pixel where ``matrix`` ``(2, 3)`` says, in a frame of ``size`` ``(height, width)``."""
    code = interpolation_code(interpolation)
    size = size or img.shape[:2]
    nearest = code == cv2.INTER_NEAREST
    dropped = FRACTION_BITS if nearest else FRACTION_BITS - SUBPIXEL_BITS
    x, y = (_coordinates(size, row, dropped) for row in _inverse(matrix.astype(np.float64)))
    weights: Array | None = None
    if not nearest:
        mask = (1 << SUBPIXEL_BITS) - 1
        weights = ((y & mask) << SUBPIXEL_BITS | (x & mask)).astype(np.uint16)
        x >>= SUBPIXEL_BITS
        y >>= SUBPIXEL_BITS
    # Both coordinates of a pixel in 32 bits: half the passes over memory that two int16 planes would take.
    whole = (y << 16 | (x & 0xFFFF)).astype('<i4').view('<i2').reshape(*size, 2)
    code = cv2.INTER_LINEAR if code == cv2.INTER_AREA else code
    warped = cv2.remap(img, whole, weights, code, None, border_mode, tuple(border))  # type: ignore[arg-type]
    return warped.reshape(*size, *img.shape[2:])


def _inverse(matrix: Array) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The map from positions in the result to positions in the image."""
    (a, b, c), (d, e, f) = matrix.tolist()
    determinant = a * e - b * d
    scale = 1 / determinant if determinant else 0.0
    a, b, d, e = e * scale, -b * scale, -d * scale, a * scale
    return (a, b, -a * c - b * f), (d, e, -d * c - e * f)


def _coordinates(size: tuple[int, ...], row: tuple[float, float, float], dropped: int) -> NDArray[np.int32]:
    """One coordinate of every pixel's source ``(H, W)`` in fixed point, the lowest ``dropped`` bits rounded off."""
    per_column, per_row, start = row
    unit = 1 << FRACTION_BITS
    height, width = size
    along = np.rint(per_column * np.arange(width) * unit).astype(np.int32)
    down = np.rint((per_row * np.arange(height) + start) * unit).astype(np.int32) + (1 << (dropped - 1))
    coordinates = down[:, None] + along
    coordinates >>= dropped
    return coordinates
