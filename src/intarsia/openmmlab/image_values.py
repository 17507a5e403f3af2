"""Colours and values, as ``mmcv.image`` has them: images ``(H, W)`` or ``(H, W, C)``, BGR unless said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from intarsia.data.io import normalize as normalization
from intarsia.data.io import photometric, tone
from intarsia.data.io.color import bgr_to_gray, swap_red_blue, to_gray

Array = NDArray[Any]
Backend = Literal['cv2', 'pillow'] | None

bgr2rgb = rgb2bgr = swap_red_blue
iminvert = tone.invert
imequalize = tone.equalize


def imconvert(img: Array, src: str, dst: str) -> Array:
    """From one colour space to another: ``'bgr'``, ``'rgb'``, ``'gray'``, ``'hsv'``, ``'lab'``, ..."""
    return cv2.cvtColor(img, getattr(cv2, f'COLOR_{src.upper()}2{dst.upper()}'))


def bgr2gray(img: Array, keepdim: bool = False) -> Array:
    """Luma of a BGR image, ``(H, W)``, or with ``keepdim`` ``(H, W, 1)``."""
    return bgr_to_gray(img)[..., None] if keepdim else bgr_to_gray(img)


def rgb2gray(img: Array, keepdim: bool = False) -> Array:
    """Luma of an RGB image, ``(H, W)``, or with ``keepdim`` ``(H, W, 1)``."""
    return to_gray(img)[..., None] if keepdim else to_gray(img)


def gray2bgr(img: Array) -> Array:
    """Three equal channels of a grey image ``(H, W)`` or ``(H, W, 1)``."""
    return cv2.cvtColor(img, cv2.COLOR_GRAY2BGR)


gray2rgb = gray2bgr


def bgr2hsv(img: Array) -> Array:
    """Hue (uint8: half degrees), saturation and value."""
    return cv2.cvtColor(img, cv2.COLOR_BGR2HSV)


def hsv2bgr(img: Array) -> Array:
    """Undo :func:`bgr2hsv`."""
    return cv2.cvtColor(img, cv2.COLOR_HSV2BGR)


def bgr2hls(img: Array) -> Array:
    """Hue (uint8: half degrees), lightness and saturation."""
    return cv2.cvtColor(img, cv2.COLOR_BGR2HLS)


def hls2bgr(img: Array) -> Array:
    """Undo :func:`bgr2hls`."""
    return cv2.cvtColor(img, cv2.COLOR_HLS2BGR)


def imnormalize(img: Array, mean: Array | Sequence[float], std: Array | Sequence[float], to_rgb: bool = True) -> Array:
    """``(img - mean) / std`` in float32, with the channels in reverse order first if asked for."""
    values = img if img.dtype == np.uint8 else img.astype(np.float32)
    return np.ascontiguousarray(normalization.normalize(values, _row(mean), np.ravel(std), to_rgb))


def imnormalize_(img: Array, mean: Array | Sequence[float], std: Array | Sequence[float], to_rgb: bool = True) -> Array:
    """The same in place, for float images.

    Raises:
        TypeError: The image is not of floats.
    """
    _require_float(img)
    img[...] = normalization.normalize(img, _row(mean), np.ravel(std), to_rgb)
    return img


def imdenormalize(
    img: Array, mean: Array | Sequence[float], std: Array | Sequence[float], to_bgr: bool = True
) -> Array:
    """``img * std + mean``, and the channels in reverse order then if asked for.

    Raises:
        TypeError: The image is not of floats.
    """
    _require_float(img)
    return normalization.denormalize(img, np.ravel(mean), np.ravel(std), to_bgr)


def _row(mean: Array | Sequence[float]) -> Array:
    """In float32: OpenCV subtracts in the precision of the image, and multiplies in double."""
    return np.ravel(mean).astype(np.float32)


def _require_float(img: Array) -> None:
    if img.dtype.kind != 'f':
        raise TypeError(f'a normalized image is of floats, not {img.dtype}')


def solarize(img: Array, thr: float = 128) -> Array:
    """The negative of values from ``thr`` on; uint8."""
    return tone.solarize(img, thr)


def posterize(img: Array, bits: int) -> Array:
    """Keep the ``bits`` highest bits of each value; uint8."""
    return tone.posterize(img, bits)


def auto_contrast(img: Array, cutoff: float = 0) -> Array:
    """Stretch each channel over all values; uint8.

    Raises:
        ValueError: A part of the values is to be cut off.
    """
    if cutoff:
        raise ValueError('auto_contrast stretches all values: only cutoff=0 is supported')
    return tone.auto_contrast(img)


def adjust_brightness(img: Array, factor: float = 1.0, backend: Backend = None) -> Array:
    """See :func:`intarsia.data.io.photometric.adjust_brightness`."""
    return photometric.adjust_brightness(img, factor, backend or 'cv2')


def adjust_contrast(img: Array, factor: float = 1.0, backend: Backend = None) -> Array:
    """See :func:`intarsia.data.io.photometric.adjust_contrast`."""
    return photometric.adjust_contrast(img, factor, backend or 'cv2')


def adjust_color(
    img: Array, alpha: float = 1, beta: float | None = None, gamma: float = 0, backend: Backend = None
) -> Array:
    """``alpha`` times the image, ``beta`` (by default ``1 - alpha``) times its grey version, and ``gamma``.

    Pillow takes ``alpha`` alone.
    """
    if backend == 'pillow' or (beta is None and gamma == 0):
        return photometric.adjust_color(img, alpha, backend or 'cv2')
    return cv2.addWeighted(img, alpha, gray2bgr(bgr2gray(img)), 1 - alpha if beta is None else beta, gamma)


def adjust_hue(img: Array, hue_factor: float, backend: Backend = None) -> Array:
    """See :func:`intarsia.data.io.photometric.adjust_hue`."""
    return photometric.adjust_hue(img, hue_factor, backend or 'cv2')


def adjust_sharpness(img: Array, factor: float = 1.0, kernel: Array | None = None) -> Array:
    """See :func:`intarsia.data.io.photometric.adjust_sharpness`."""
    return photometric.adjust_sharpness(img, factor, *([] if kernel is None else [kernel]))


def adjust_lighting(img: Array, eigval: Array, eigvec: Array, alphastd: float = 0.1, to_rgb: bool = True) -> Array:
    """Add a colour drawn from NumPy's global generator; see :func:`intarsia.data.io.photometric.add_lighting`."""
    alpha = np.random.normal(0, alphastd, len(eigval))
    pixels = (swap_red_blue(img) if to_rgb else img).astype(np.float32)
    return photometric.add_lighting(pixels, eigval, eigvec, alpha)


def lut_transform(img: Array, lut_table: Array) -> Array:
    """Replace each value by its entry in a table ``(256,)``; uint8."""
    return tone.apply_table(img, np.asarray(lut_table))


def clahe(img: Array, clip_limit: float = 40.0, tile_grid_size: tuple[int, int] = (8, 8)) -> Array:
    """Equalize a grey image part by part, with limited contrast (Zuiderveld, 1994)."""
    return cv2.createCLAHE(clip_limit, tile_grid_size).apply(img.astype(np.uint8))
