"""Crops of classification pipelines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import PADDING_MODES, Size, crop, interpolation_code, pad, resize
from intarsia.data.transforms.image_transform import Array, Drawn, ImageTransform, require_choice

Box = tuple[int, int, int, int]
"""``(top, left, height, width)``."""


def center_box(height: int, width: int, box_height: float, box_width: float) -> Box:
    """A box in the middle of an image, no greater than it; fractions of its size are cut off last."""
    top = max(0, round((height - box_height) / 2))
    left = max(0, round((width - box_width) / 2))
    bottom, right = min(height, top + box_height), min(width, left + box_width)
    return top, left, int(bottom - 1) - top + 1, int(right - 1) - left + 1


def padded_center_box(height: int, width: int, size: int, padding: int) -> Box:
    """The middle square whose side is ``size / (size + padding)`` of the image's shorter side.

    From "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", Tan, Le, 2019, arXiv:1905.11946,
    whose code evaluates so.
    """
    side = size / (size + padding) * min(height, width)
    return center_box(height, width, side, side)


@TRANSFORMS.register_module()
class CenterCrop(ImageTransform):
    """Cut out the middle of an image. A smaller image is not padded.

    Args:
        crop_size: ``(height, width)``, or one number for both.
        efficientnet_style: Cut out a square of ``crop_size / (crop_size + crop_padding)`` of the shorter side, and
            resize it to ``crop_size``.
        crop_padding: See ``efficientnet_style``.
        interpolation: Of that resize.
        backend: Of that resize, ``'cv2'`` or ``'pillow'``.
    """

    def __init__(
        self,
        crop_size: int | Sequence[int],
        efficientnet_style: bool = False,
        crop_padding: int = 32,
        interpolation: Literal['nearest', 'bilinear', 'bicubic', 'area', 'lanczos', 'box', 'hamming'] = 'bilinear',
        backend: Literal['cv2', 'pillow'] = 'cv2',
    ) -> None:
        if efficientnet_style and not isinstance(crop_size, int):
            raise ValueError(f'an EfficientNet crop is square: crop_size is one number, not {crop_size}')
        self.crop_size = _pair('crop_size', crop_size)
        interpolation_code(interpolation, backend)
        self.efficientnet_style = efficientnet_style
        self.crop_padding = crop_padding
        self.interpolation = interpolation
        self.backend = backend

    def apply(self, img: Array) -> Array:
        """The crop; a view unless resized."""
        height, width = img.shape[:2]
        if not self.efficientnet_style:
            return crop(img, *center_box(height, width, *self.crop_size))
        middle = crop(img, *padded_center_box(height, width, self.crop_size[0], self.crop_padding))
        return resize(middle, self.crop_size, self.interpolation, self.backend)


@TRANSFORMS.register_module()
class RandomCrop(ImageTransform):
    """Cut out a part of fixed size at a random place.

    Args:
        size: ``(height, width)``, or one number for both.
        padding: Pixels added at the borders before: one number, ``(left and right, top and bottom)`` or
            ``(left, top, right, bottom)``. These are always constant.
        pad_if_needed: Where the image is smaller than the crop, add the missing pixels on **both** sides.
        pad_val: Of constant borders, by channel; one number fills the first channel only and leaves the others 0.
        padding_mode: Of the borders that ``pad_if_needed`` adds: ``'constant'``, ``'edge'``, ``'reflect'`` or
            ``'symmetric'``.
        pad_half: ``pad_if_needed`` adds half of the missing pixels, rounded up, on each side.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        pad_val: float | Sequence[float] = 0,
        padding_mode: Literal['constant', 'edge', 'reflect', 'symmetric'] = 'constant',
        pad_half: bool = False,
    ) -> None:
        self.size = _pair('size', size)
        self.padding = _borders(padding or 0)
        self.pad_if_needed = pad_if_needed
        self.pad_val = pad_val
        self.padding_mode = require_choice('padding_mode', padding_mode, PADDING_MODES)
        self.pad_half = pad_half

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'top': ..., 'left': ...}`` in the padded image, each possible place being equally likely.

        Raises:
            DataError: The image is smaller than the crop.
        """
        left, top, right, bottom = self.padding
        height, width = img.shape[0] + top + bottom, img.shape[1] + left + right
        rows, columns = self._missing(height, width)
        spare_y, spare_x = height + 2 * rows - self.size[0], width + 2 * columns - self.size[1]
        if spare_y < 0 or spare_x < 0:
            raise DataError(
                f'an image of {height} x {width} is smaller than the crop of {self.size[0]} x {self.size[1]}; '
                'RandomCrop(pad_if_needed=True) pads it'
            )
        return {'top': int(rng.integers(spare_y + 1)), 'left': int(rng.integers(spare_x + 1))}

    def apply(self, img: Array, top: int, left: int) -> Array:
        """Pad, and cut out the part that starts there."""
        img = pad(img, self.padding, self.pad_val)
        rows, columns = self._missing(*img.shape[:2])
        img = pad(img, (columns, rows, columns, rows), self.pad_val, self.padding_mode)
        return crop(img, top, left, *self.size)

    def _missing(self, height: int, width: int) -> Size:
        """Rows and columns to add on each side."""
        if not self.pad_if_needed:
            return 0, 0
        rows, columns = max(0, self.size[0] - height), max(0, self.size[1] - width)
        return (math.ceil(rows / 2), math.ceil(columns / 2)) if self.pad_half else (rows, columns)


@TRANSFORMS.register_module()
class RandomResizedCrop(ImageTransform):
    """Cut out a part of random size and shape, and resize it.

    From "Going Deeper with Convolutions", Szegedy et al., 2014, arXiv:1409.4842.

    Args:
        size: ``(height, width)`` of the result, or one number for both.
        scale: Range of the part's share of the image's area.
        ratio: Range of its width / height, drawn evenly on a logarithmic scale.
        max_attempts: Draws until a part lies within the image; then the largest middle part of allowed shape is taken.
        efficientnet_style: Draw as the code of EfficientNet does: the shape evenly, then the height evenly between
            what ``scale`` allows; failing that, take the crop that ``CenterCrop`` takes in that style.
        min_covered: Least share of the image, in that style.
        crop_padding: Of that crop.
        interpolation: Name of an interpolation that the backend has.
        backend: ``'cv2'`` or ``'pillow'``.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        max_attempts: int = 10,
        efficientnet_style: bool = False,
        min_covered: float = 0.1,
        crop_padding: int = 32,
        interpolation: Literal['nearest', 'bilinear', 'bicubic', 'area', 'lanczos', 'box', 'hamming'] = 'bilinear',
        backend: Literal['cv2', 'pillow'] = 'cv2',
    ) -> None:
        if efficientnet_style and not isinstance(size, int):
            raise ValueError(f'an EfficientNet crop is square: size is one number, not {size}')
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            raise ValueError(f'ranges are (least, greatest), not scale {scale} and ratio {ratio}')
        interpolation_code(interpolation, backend)
        self.size = _pair('size', size)
        self.scale = float(scale[0]), float(scale[1])
        self.ratio = float(ratio[0]), float(ratio[1])
        self.max_attempts = max_attempts
        self.efficientnet_style = efficientnet_style
        self.min_covered = min_covered
        self.crop_padding = crop_padding
        self.interpolation = interpolation
        self.backend = backend

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``top``, ``left``, ``height``, ``width`` of the part."""
        rows, columns = img.shape[:2]
        draw_size = self._draw_size_efficientnet if self.efficientnet_style else self._draw_size
        for _ in range(self.max_attempts):
            drawn = draw_size(rng, rows, columns)
            if drawn is not None:
                height, width = drawn
                top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
                break
        else:
            top, left, height, width = self._fallback(rows, columns)
        return {'top': top, 'left': left, 'height': height, 'width': width}

    def apply(self, img: Array, top: int, left: int, height: int, width: int) -> Array:
        """Cut out and resize."""
        return resize(crop(img, top, left, height, width), self.size, self.interpolation, self.backend)

    def _draw_size(self, rng: np.random.Generator, rows: int, columns: int) -> Size | None:
        area = rows * columns * rng.uniform(*self.scale)
        aspect = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
        height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        return (height, width) if 0 < height <= rows and 0 < width <= columns else None

    def _draw_size_efficientnet(self, rng: np.random.Generator, rows: int, columns: int) -> Size | None:
        least, greatest = (share * rows * columns for share in self.scale)
        aspect = rng.uniform(*self.ratio)
        highest = round(math.sqrt(greatest / aspect))
        if highest * aspect > columns:
            highest = int((columns + 0.5 - 1e-7) / aspect)  # the width may round down to the last column
            if highest * aspect > columns:
                highest -= 1
        highest = min(highest, rows)
        lowest = min(highest, round(math.sqrt(least / aspect)))
        height = round(rng.uniform(lowest, highest))
        width = round(height * aspect)
        least = max(least, self.min_covered * rows * columns)
        fits = 0 < height <= rows and 0 < width <= columns and least <= height * width <= greatest
        return (height, width) if fits else None

    def _fallback(self, rows: int, columns: int) -> Box:
        if self.efficientnet_style:
            return padded_center_box(rows, columns, self.size[0], self.crop_padding)
        height, width = rows, columns
        if columns / rows < min(self.ratio):
            height = round(width / min(self.ratio))
        elif columns / rows > max(self.ratio):
            width = round(height * max(self.ratio))
        return (rows - height) // 2, (columns - width) // 2, height, width


def _pair(what: str, size: int | Sequence[int]) -> Size:
    height, width = (size, size) if isinstance(size, int) else size
    if height <= 0 or width <= 0:
        raise ValueError(f'{what} is positive, not {size}')
    return height, width


def _borders(padding: int | Sequence[int]) -> Box:
    """``(left, top, right, bottom)``."""
    sides = (padding,) * 4 if isinstance(padding, int) else tuple(padding) * (4 // len(padding))
    if len(sides) != 4:
        raise ValueError(f'padding is one number, two or four of them, not {padding}')
    return sides[0], sides[1], sides[2], sides[3]
