"""Sizes and positions, as ``mmcv.image`` has them: sizes ``(width, height)``, images ``(H, W)`` or ``(H, W, C)``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from intarsia.data.io import affine, geometry

Array = NDArray[Any]
Color = float | Sequence[float]
Size = tuple[int, int]
Backend = Literal['cv2', 'pillow'] | None

AXES: dict[str, int | tuple[int, int]] = {'horizontal': 1, 'vertical': 0, 'diagonal': (0, 1)}
BORDER_MODES = {
    'constant': cv2.BORDER_CONSTANT,
    'replicate': cv2.BORDER_REPLICATE,
    'reflect': cv2.BORDER_REFLECT,
    'reflect_101': cv2.BORDER_REFLECT_101,
    'wrap': cv2.BORDER_WRAP,
}


def imresize(
    img: Array,
    size: Size,
    return_scale: bool = False,
    interpolation: str = 'bilinear',
    out: Array | None = None,
    backend: Backend = None,
) -> Any:
    """Resize to ``(width, height)``.

    Args:
        img: The image.
        size: ``(width, height)``.
        return_scale: Whether to return also what width and height were multiplied by.
        interpolation: A name of :data:`intarsia.data.io.geometry.INTERPOLATIONS`.
        out: Where to put the result.
        backend: Library that interpolates, OpenCV by default.
    """
    width, height = size
    resized = geometry.resize(img, (height, width), interpolation, backend or 'cv2')
    if out is not None:
        out[...] = resized
        resized = out
    elif resized is img:
        resized = img.copy()
    return (resized, width / img.shape[1], height / img.shape[0]) if return_scale else resized


def imresize_like(
    img: Array,
    dst_img: Array,
    return_scale: bool = False,
    interpolation: str = 'bilinear',
    backend: Backend = None,
) -> Any:
    """Resize to the size of another image; see :func:`imresize`."""
    size = dst_img.shape[1], dst_img.shape[0]
    return imresize(img, size, return_scale, interpolation, backend=backend)


def imresize_to_multiple(
    img: Array,
    divisor: int | Size,
    size: int | Size | None = None,
    scale_factor: float | tuple[float, float] | None = None,
    keep_ratio: bool = False,
    return_scale: bool = False,
    interpolation: str = 'bilinear',
    out: Array | None = None,
    backend: Backend = None,
) -> Any:
    """Resize to ``size``, or by ``scale_factor``, and on to the next multiple of ``divisor``; see :func:`imresize`.

    Raises:
        ValueError: Neither or both of them are given.
    """
    if (size is None) == (scale_factor is None):
        raise ValueError('one of size and scale_factor has to be given')
    old = img.shape[1], img.shape[0]
    if scale_factor is not None:
        wanted = _scale_size(old, scale_factor)
    else:
        wanted = (size, size) if isinstance(size, int) else size  # type: ignore[assignment]
        wanted = rescale_size(old, wanted) if keep_ratio else wanted
    divisors = (divisor, divisor) if isinstance(divisor, int) else divisor
    width, height = (math.ceil(side / d) * d for side, d in zip(wanted, divisors, strict=True))
    return imresize(img, (width, height), return_scale, interpolation, out, backend)


def imrescale(
    img: Array,
    scale: float | Size,
    return_scale: bool = False,
    interpolation: str = 'bilinear',
    backend: Backend = None,
) -> Any:
    """Resize by a factor, or as far as a longer and a shorter side allow, keeping the aspect ratio."""
    size, factor = rescale_size((img.shape[1], img.shape[0]), scale, return_scale=True)
    resized = imresize(img, size, interpolation=interpolation, backend=backend)
    return (resized, factor) if return_scale else resized


def rescale_size(old_size: Size, scale: float | Size, return_scale: bool = False) -> Any:
    """The size that :func:`imrescale` gives, and with ``return_scale`` the factor."""
    size, factor = geometry.rescale_size(old_size, scale)
    return (size, factor) if return_scale else size


def _scale_size(size: Size, scale: float | tuple[float, float]) -> Size:
    """Both sides times a factor, or two, rounded half up."""
    factors = (scale, scale) if isinstance(scale, (int, float)) else scale
    width, height = (int(side * float(factor) + 0.5) for side, factor in zip(size, factors, strict=True))
    return width, height


def imflip(img: Array, direction: str = 'horizontal') -> Array:
    """A mirrored view of an image: ``'horizontal'`` (left-right), ``'vertical'`` or ``'diagonal'`` (both)."""
    return np.flip(img, _of('direction', direction, AXES))


def imflip_(img: Array, direction: str = 'horizontal') -> Array:
    """Mirror an image in its place."""
    img[...] = imflip(img, direction).copy()
    return img


def imrotate(
    img: Array,
    angle: float,
    center: tuple[float, float] | None = None,
    scale: float = 1.0,
    border_value: Color = 0,
    interpolation: str = 'bilinear',
    auto_bound: bool = False,
    border_mode: str = 'constant',
) -> Array:
    """Rotate by ``angle`` degrees clockwise; see :func:`intarsia.data.io.affine.rotate`.

    A ``border_value`` that is one number is that of the first channel; the others get 0.

    Raises:
        ValueError: ``auto_bound`` together with a ``center``.
    """
    if center is not None and auto_bound:
        raise ValueError('a frame for the whole image (auto_bound) has no other center than its own')
    border = (border_value,) if isinstance(border_value, (int, float)) else border_value
    mode = _of('border_mode', border_mode, BORDER_MODES)
    return affine.rotate(img, angle, center, scale, border, interpolation, auto_bound, mode)


def imshear(
    img: Array,
    magnitude: float,
    direction: Literal['horizontal', 'vertical'] = 'horizontal',
    border_value: Color = 0,
    interpolation: str = 'bilinear',
) -> Array:
    """Shear; see :func:`intarsia.data.io.affine.shear`."""
    return affine.shear(img, magnitude, direction, _color(img, border_value)[:3], interpolation)


def imtranslate(
    img: Array,
    offset: float,
    direction: Literal['horizontal', 'vertical'] = 'horizontal',
    border_value: Color = 0,
    interpolation: str = 'bilinear',
) -> Array:
    """Shift; see :func:`intarsia.data.io.affine.translate`."""
    return affine.translate(img, offset, direction, _color(img, border_value)[:3], interpolation)


def imcrop(
    img: Array, bboxes: Array, scale: float = 1.0, pad_fill: float | Sequence[float] | None = None
) -> Array | list[Array]:
    """Cut out boxes.

    Args:
        img: The image.
        bboxes: x and y of the first and the last pixel, ``(4,)`` or ``(K, 4)``.
        scale: Scale of the boxes about their centres.
        pad_fill: Colour of what lies outside of the image; without it that is cut off, and patches are views.

    Returns:
        A patch, or a list of patches.
    """
    boxes = np.atleast_2d(bboxes)
    grown = (boxes[:, 2:] - boxes[:, :2] + 1) * (scale - 1) * 0.5
    corners = np.concatenate([boxes[:, :2] - grown, boxes[:, 2:] + grown], axis=1).astype(np.int32)
    patches = [_patch(img, box, pad_fill) for box in corners.tolist()]
    return patches[0] if np.ndim(bboxes) == 1 else patches


def _patch(img: Array, box: list[int], fill: float | Sequence[float] | None) -> Array:
    height, width = img.shape[:2]
    left, right = (min(max(x, 0), width - 1) for x in box[::2])
    top, bottom = (min(max(y, 0), height - 1) for y in box[1::2])
    inside = img[top : bottom + 1, left : right + 1]
    if fill is None:
        return inside
    patch = np.empty((box[3] - box[1] + 1, box[2] - box[0] + 1, *img.shape[2:]), img.dtype)
    patch[...] = fill
    if box[0] < width and box[1] < height and box[2] >= 0 and box[3] >= 0:
        patch[top - box[1] : bottom - box[1] + 1, left - box[0] : right - box[0] + 1] = inside
    return patch


def impad(
    img: Array,
    *,
    shape: Size | None = None,
    padding: int | Sequence[int] | None = None,
    pad_val: Color = 0,
    padding_mode: str = 'constant',
) -> Array:
    """Add borders.

    Args:
        img: The image.
        shape: ``(height, width)`` to pad to, at the right and at the bottom; what is larger stays.
        padding: Instead of it, pixels at all sides, at ``(left and right, top and bottom)``, or at
            ``(left, top, right, bottom)``.
        pad_val: Colour; one number is that of the first channel, the others get 0.
        padding_mode: A name of :data:`intarsia.data.io.geometry.PADDING_MODES`.

    Raises:
        ValueError: Neither or both of ``shape`` and ``padding`` are given, or they are of another kind.
    """
    if (shape is None) == (padding is None):
        raise ValueError('one of shape and padding has to be given')
    if shape is not None:
        sides: tuple[int, ...] = (0, 0, max(shape[1] - img.shape[1], 0), max(shape[0] - img.shape[0], 0))
    else:
        sides = (padding,) if isinstance(padding, int) else tuple(padding or ())
    if len(sides) not in (1, 2, 4):
        raise ValueError(f'padding is one, two or four numbers, not {padding!r}')
    left, top, right, bottom = sides * (4 // len(sides))
    _of('padding_mode', padding_mode, geometry.PADDING_MODES)
    value = pad_val if isinstance(pad_val, (int, float)) else _color(img, pad_val)
    padded = geometry.pad(img, (left, top, right, bottom), value, padding_mode)
    return img.copy() if padded is img else padded


def impad_to_multiple(img: Array, divisor: int, pad_val: Color = 0) -> Array:
    """Pad both sides to the next multiple of ``divisor``; see :func:`impad`."""
    height, width = (math.ceil(side / divisor) * divisor for side in img.shape[:2])
    return impad(img, shape=(height, width), pad_val=pad_val)


def cutout(img: Array, shape: int | Size, pad_val: Color = 0) -> Array:
    """Fill a box at a place drawn from NumPy's global generator.

    Args:
        img: The image.
        shape: ``(height, width)`` of the box, or one number for both.
        pad_val: Colour of the box.
    """
    height, width = (shape, shape) if isinstance(shape, int) else shape
    y, x = (np.random.uniform(side) for side in img.shape[:2])
    top, left = int(max(0, y - height / 2)), int(max(0, x - width / 2))
    color = _color(img, pad_val)
    return geometry.fill_box(img, top, left, height, width, color if img.ndim == 3 else color[0])


def _color(img: Array, value: Color) -> tuple[float, ...]:
    """A number for every channel.

    Raises:
        ValueError: There are more or fewer.
    """
    channels = img.shape[2] if img.ndim == 3 else 1
    color = (value,) * channels if isinstance(value, (int, float)) else tuple(value)
    if len(color) != channels:
        raise ValueError(f'a color of an image with {channels} channels is not {value!r}')
    return color


def _of(what: str, word: str, known: Mapping[str, Any]) -> Any:
    if word not in known:
        raise ValueError(f'{what} is one of {", ".join(known)}, not {word!r}')
    return known[word]
