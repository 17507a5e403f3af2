"""Sizes and positions: resize, crop, pad, flip, fill. Sizes are ``(height, width)`` throughout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
Size = tuple[int, int]
Backend = Literal['cv2', 'pillow']

INTERPOLATIONS: dict[str, dict[str, int]] = {
    'cv2': {
        'nearest': cv2.INTER_NEAREST,
        'bilinear': cv2.INTER_LINEAR,
        'bicubic': cv2.INTER_CUBIC,
        'area': cv2.INTER_AREA,
        'lanczos': cv2.INTER_LANCZOS4,
    },
    'pillow': {
        'nearest': Image.Resampling.NEAREST,
        'bilinear': Image.Resampling.BILINEAR,
        'bicubic': Image.Resampling.BICUBIC,
        'box': Image.Resampling.BOX,
        'lanczos': Image.Resampling.LANCZOS,
        'hamming': Image.Resampling.HAMMING,
    },
}
"""Names of interpolations by backend. Pillow smooths when it shrinks, OpenCV does so only with ``'area'``."""

PADDING_MODES = {
    'constant': cv2.BORDER_CONSTANT,
    'edge': cv2.BORDER_REPLICATE,
    'reflect': cv2.BORDER_REFLECT_101,
    'symmetric': cv2.BORDER_REFLECT,
}
"""``'edge'`` repeats the last pixel, ``'reflect'`` mirrors around it, ``'symmetric'`` mirrors it too."""

FLIP_CODES = {'horizontal': 1, 'vertical': 0, 'diagonal': -1}


def interpolation_code(interpolation: str, backend: str = 'cv2') -> int:
    """The backend's number for an interpolation.

    Raises:
        ValueError: The backend is unknown, or does not have it.
    """
    if backend not in INTERPOLATIONS:
        raise ValueError(f'backend is one of {", ".join(INTERPOLATIONS)}, not {backend!r}')
    codes = INTERPOLATIONS[backend]
    if interpolation not in codes:
        raise ValueError(f'{backend} interpolates by one of {", ".join(codes)}, not by {interpolation!r}')
    return codes[interpolation]


def resize(img: Array, size: Size, interpolation: str = 'bilinear', backend: Backend = 'cv2') -> Array:
    """Resize an image; one that has the size already is returned as it is.

    Args:
        img: ``(H, W)`` or ``(H, W, C)``; uint8 for Pillow.
        size: ``(height, width)``.
        interpolation: A name of :data:`INTERPOLATIONS`.
        backend: Which library interpolates.
    """
    code = interpolation_code(interpolation, backend)
    height, width = size
    if img.shape[:2] == (height, width):
        return img
    if backend == 'cv2':
        return cv2.resize(img, (width, height), interpolation=code)
    return np.array(Image.fromarray(img).resize((width, height), Image.Resampling(code)))


def rescale_size(size: Size, scale: float | Sequence[float]) -> tuple[Size, float]:
    """The size of an image after scaling with its aspect ratio kept.

    Args:
        size: ``(height, width)``, in either order as long as the result is read alike.
        scale: A factor, or two numbers: the longer side may have the greater, the shorter side the smaller of them.

    Returns:
        The size, each side ``int(side * factor + 0.5)``, and the factor.

    Raises:
        ValueError: A factor that is not positive.
    """
    if isinstance(scale, (int, float)):
        factor = float(scale)
    else:
        factor = min(max(scale) / max(size), min(scale) / min(size))
    if factor <= 0:
        raise ValueError(f'an image is scaled by something positive, not by {scale}')
    return scale_size(size, factor), factor


def scale_size(size: Size, factor: float) -> Size:
    """Both sides times ``factor``, rounded half up."""
    return int(size[0] * factor + 0.5), int(size[1] * factor + 0.5)


def resize_to_multiple(
    img: Array, divisor: int | Size, factor: float = 1.0, interpolation: str = 'bilinear', backend: Backend = 'cv2'
) -> Array:
    """Scale an image, and on to the next size that ``divisor`` divides.

    Args:
        img: ``(H, W)`` or ``(H, W, C)``.
        divisor: For both sides, or for ``(height, width)``.
        factor: Scale before rounding up.
        interpolation: See :func:`resize`.
        backend: See :func:`resize`.
    """
    divisors = (divisor, divisor) if isinstance(divisor, int) else divisor
    sides = scale_size((img.shape[0], img.shape[1]), factor)
    height, width = (math.ceil(side / d) * d for side, d in zip(sides, divisors, strict=True))
    return resize(img, (height, width), interpolation, backend)


def crop(img: Array, top: int, left: int, height: int, width: int) -> Array:
    """A view of the part of an image that lies in a box; the box is cut off at the borders."""
    bottom, right = max(0, top + height), max(0, left + width)
    return img[max(0, top) : bottom, max(0, left) : right]


def pad(
    img: Array,
    padding: tuple[int, int, int, int],
    value: float | Sequence[float] = 0,
    mode: str = 'constant',
) -> Array:
    """Add borders.

    Args:
        img: ``(H, W)`` or ``(H, W, C)``.
        padding: Pixels at ``(left, top, right, bottom)``.
        value: Of a constant border, by channel. A single number fills the **first** channel and leaves the others 0,
            as OpenCV reads a scalar.
        mode: A name of :data:`PADDING_MODES`.
    """
    if not any(padding):
        return img
    left, top, right, bottom = padding
    color = value if isinstance(value, (int, float)) else tuple(value)
    out = cv2.copyMakeBorder(img, top, bottom, left, right, PADDING_MODES[mode], value=color)
    return out.reshape(*out.shape[:2], *img.shape[2:])


def flip(img: Array, direction: Literal['horizontal', 'vertical', 'diagonal'] = 'horizontal') -> Array:
    """Mirror left-right, top-bottom, or both."""
    return cv2.flip(img, FLIP_CODES[direction]).reshape(img.shape)


def fill_box(img: Array, top: int, left: int, height: int, width: int, value: Any) -> Array:
    """A copy of an image with a box filled.

    Args:
        img: ``(H, W)`` or ``(H, W, C)``.
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
        value: A number, one number a channel, or an array ``(height, width, C)``.
    """
    filled = img.copy()
    filled[top : top + height, left : left + width] = value
    return filled
