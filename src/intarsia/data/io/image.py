"""Image files to arrays and back."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from intarsia.core.errors import DataError, closest
from intarsia.data.io.color import swap_red_blue

Array = NDArray[Any]
Source = str | os.PathLike[str] | bytes | bytearray | memoryview
ColorType = Literal['color', 'grayscale', 'unchanged', 'color_ignore_orientation', 'grayscale_ignore_orientation']

COLOR_TYPES: dict[str, int] = {
    'color': cv2.IMREAD_COLOR,
    'grayscale': cv2.IMREAD_GRAYSCALE,
    'unchanged': cv2.IMREAD_UNCHANGED,
    'color_ignore_orientation': cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    'grayscale_ignore_orientation': cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
}
"""What an image becomes, and the flag OpenCV has for it. EXIF rotation is applied unless the name says otherwise."""


BACKENDS = ('cv2', 'pillow', 'tifffile')
"""Libraries that decode. The last one is the extra ``tiff``, for TIFF files that the others cannot hold."""


def read_image(
    source: Source,
    color_type: ColorType = 'color',
    channel_order: Literal['bgr', 'rgb'] = 'bgr',
    backend: Literal['cv2', 'pillow', 'tifffile'] = 'cv2',
) -> Array:
    """Read an image file, or decode one that is in memory.

    Args:
        source: Path of a file, or the content of one.
        color_type: ``'color'`` (three channels), ``'grayscale'`` (none), ``'unchanged'`` (as stored, with alpha and
            depth, unrotated); the first two turn the image upright by its EXIF tag, ``*_ignore_orientation`` do not.
        channel_order: Of colour images.
        backend: Which library decodes. Of colours, only lossy formats differ, by a grey level or two; palette images
            ``'unchanged'`` are colours for cv2, palette indices for Pillow. ``'tifffile'`` gives what is stored.

    Returns:
        ``(H, W, 3)`` or ``(H, W)``, uint8 (``'unchanged'`` and tifffile may give more channels and other dtypes).

    Raises:
        DataError: The file is missing, or is not a complete image; the message names it.
        ImportError: The backend is not installed.
        ValueError: An unknown word.
    """
    _require('color_type', color_type, COLOR_TYPES)
    _require('channel_order', channel_order, ('bgr', 'rgb'))
    _require('backend', backend, BACKENDS)
    content, name = _content_of(source)
    img = _DECODERS[backend](content, color_type) if content.size else None
    if img is None:
        raise DataError(f'{name} ({content.size} bytes) cannot be decoded: it is broken, or not an image')
    return swap_red_blue(img) if channel_order == 'rgb' else img


def write_image(
    img: Array,
    path: str | os.PathLike[str],
    channel_order: Literal['bgr', 'rgb'] = 'bgr',
    params: Sequence[int] = (),
) -> None:
    """Write an image in the format its file name asks for; missing folders are made.

    Args:
        img: ``(H, W)`` or ``(H, W, 3)``, uint8.
        path: Where to; the suffix (``.png``, ``.jpg``, ...) names the format.
        channel_order: Of ``img``.
        params: Options of the format, as OpenCV numbers them: ``(cv2.IMWRITE_JPEG_QUALITY, 90)``.

    Raises:
        DataError: The format is unknown, or cannot hold such an array.
    """
    path = Path(path)
    try:
        done, encoded = cv2.imencode(path.suffix, swap_red_blue(img) if channel_order == 'rgb' else img, params)
    except cv2.error as error:
        raise DataError(
            f'{path}: no image format for {img.dtype} {img.shape} and the suffix {path.suffix!r}'
        ) from error
    if not done:
        raise DataError(f'{path}: {img.dtype} {img.shape} could not be encoded')
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded.tofile(path)


def _content_of(source: Source) -> tuple[NDArray[np.uint8], str]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return np.frombuffer(source, np.uint8), 'the image in memory'
    try:
        return np.fromfile(source, np.uint8), f"image file '{os.fspath(source)}'"
    except OSError as error:
        raise DataError(f"image file '{os.fspath(source)}' cannot be read: {error.strerror or error}") from error


def _decode_cv2(content: NDArray[np.uint8], color_type: str) -> Array | None:
    return cv2.imdecode(content, COLOR_TYPES[color_type])


def _decode_pillow(content: NDArray[np.uint8], color_type: str) -> Array | None:
    if color_type == 'unchanged' and _is_gray_png(content):
        gray = _decode_cv2(content, color_type)  # the same values, without Pillow's slow way to an array
        if gray is not None and gray.ndim == 2:
            return gray
    try:
        picture: Image.Image = Image.open(io.BytesIO(content.data))
        if color_type in ('color', 'grayscale'):
            picture = ImageOps.exif_transpose(picture)
        if color_type != 'unchanged':
            picture = picture.convert('L' if color_type.startswith('grayscale') else 'RGB')
        img = np.array(picture)
    except (UnidentifiedImageError, OSError, SyntaxError):
        return None
    return swap_red_blue(img)


def _is_gray_png(content: NDArray[np.uint8]) -> bool:
    """Whether this is a PNG of one channel of 8 bits, as masks usually are."""
    bit_depth, color_type = content[24:26] if content.size > 26 else (0, 0)
    return content[:8].tobytes() == b'\x89PNG\r\n\x1a\n' and bit_depth == 8 and color_type == 0


def _decode_tifffile(content: NDArray[np.uint8], color_type: str) -> Array | None:
    try:
        import tifffile
    except ImportError as error:
        raise ImportError("imdecode_backend='tifffile' needs: pip install 'intarsia[tiff]'") from error
    try:
        return tifffile.imread(io.BytesIO(content.data))
    except (tifffile.TiffFileError, OSError, ValueError):
        return None


_DECODERS: dict[str, Callable[[NDArray[np.uint8], str], Array | None]] = {
    'cv2': _decode_cv2,
    'pillow': _decode_pillow,
    'tifffile': _decode_tifffile,
}


def _require(what: str, word: str, known: Any) -> None:
    if word not in known:
        close = closest(str(word), known)
        hint = f" Did you mean '{close}'?" if close else ''
        raise ValueError(f'{what} is one of {", ".join(known)}, not {word!r}.{hint}')
