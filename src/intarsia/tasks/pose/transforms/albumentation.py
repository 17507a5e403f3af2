"""Steps that configs write in the words of the library albumentations: blur, and holes in the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array, Drawn, ImageTransform, require_probability
from intarsia.data.transforms.transform import Compose, Results, Transform

Hole = tuple[int, int, int, int]
"""Left, top, right, bottom; the last two are the first pixels behind it."""


@TRANSFORMS.register_module()
class Albumentation(Transform):
    """Take steps one after the other, each with its own probability. Joints stay where they are.

    Args:
        transforms: The steps: Blur, MedianBlur, CoarseDropout, GridDropout, or any others.
        keymap: Fields of a sample and what the steps call them; only ``{'img': 'image'}`` has a meaning here.

    Raises:
        ValueError: ``keymap`` names other fields.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]], keymap: Mapping[str, str] | None = None) -> None:
        if keymap and dict(keymap) != {'img': 'image'}:
            raise ValueError(f"Albumentation changes images alone: keymap is {{'img': 'image'}}, not {dict(keymap)}")
        self.transforms = Compose(transforms, 'pose')

    def __call__(self, results: Results, rng: np.random.Generator) -> Results | None:
        """Take the steps."""
        return self.transforms(results, rng)


class _WithProbability(ImageTransform):
    """A step that is taken with probability ``p``."""

    def __init__(self, p: float) -> None:
        self.p = require_probability('p', p)

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """What :meth:`drawn` draws, or None."""
        return self.drawn(rng, img) if rng.random() < self.p else None

    def drawn(self, rng: np.random.Generator, img: Array) -> Drawn:
        """The arguments of ``apply``."""
        raise NotImplementedError(f'{type(self).__name__} has no drawn(rng, img)')


class _WithKernel(_WithProbability):
    """A step with a square kernel of an odd size, three pixels or more."""

    def __init__(self, blur_limit: int | Sequence[int], p: float) -> None:
        super().__init__(p)
        low, high = (3, blur_limit) if isinstance(blur_limit, int) else blur_limit
        if low < 3 or low > high or low % 2 == 0 or high % 2 == 0:
            raise ValueError(f'blur_limit is one odd number from 3 on, or two in order, not {blur_limit}')
        self.sizes = np.arange(low, high + 1, 2)

    def drawn(self, rng: np.random.Generator, img: Array) -> Drawn:
        """``size`` of the kernel."""
        return {'size': int(rng.choice(self.sizes))}


@TRANSFORMS.register_module()
class Blur(_WithKernel):
    """The mean of a square around each pixel.

    Args:
        blur_limit: Greatest side of the square, or least and greatest; odd.
        p: Probability.
    """

    def __init__(self, blur_limit: int | Sequence[int] = 7, p: float = 0.5) -> None:
        super().__init__(blur_limit, p)

    def apply(self, img: Array, size: int) -> Array:
        """The blurred image."""
        return cv2.blur(img, (size, size))


@TRANSFORMS.register_module()
class MedianBlur(_WithKernel):
    """The median of a square around each pixel.

    Args:
        blur_limit: Greatest side of the square, or least and greatest; odd.
        p: Probability.
    """

    def __init__(self, blur_limit: int | Sequence[int] = 7, p: float = 0.5) -> None:
        super().__init__(blur_limit, p)

    def apply(self, img: Array, size: int) -> Array:
        """The blurred image."""
        return cv2.medianBlur(img, size)


class _Dropout(_WithProbability):
    """A step that fills rectangles."""

    def __init__(self, fill_value: float | Sequence[float], p: float) -> None:
        super().__init__(p)
        self.fill_value = fill_value

    def apply(self, img: Array, holes: Sequence[Hole]) -> Array:
        """The image with the holes filled."""
        img = img.copy()
        for left, top, right, bottom in holes:
            img[top:bottom, left:right] = self.fill_value
        return img


@TRANSFORMS.register_module()
class CoarseDropout(_Dropout):
    """Fill a few rectangles.

    "Improved Regularization of Convolutional Neural Networks with Cutout" (DeVries and Taylor, 2017, arXiv:1708.04552).

    Args:
        max_holes: Greatest number of rectangles.
        max_height: Greatest height: pixels, or a float as a part of the image.
        max_width: Greatest width.
        min_holes: Least number; None for the greatest.
        min_height: Least height; None for the greatest.
        min_width: Least width; None for the greatest.
        fill_value: What fills them, a number or one for each channel.
        p: Probability.

    Raises:
        ValueError: A least number is greater than the greatest.
    """

    def __init__(
        self,
        max_holes: int = 8,
        max_height: float = 8,
        max_width: float = 8,
        min_holes: int | None = None,
        min_height: float | None = None,
        min_width: float | None = None,
        fill_value: float | Sequence[float] = 0,
        p: float = 0.5,
    ) -> None:
        super().__init__(fill_value, p)
        self.holes = _range('holes', min_holes, max_holes)
        self.height = _range('height', min_height, max_height)
        self.width = _range('width', min_width, max_width)

    def drawn(self, rng: np.random.Generator, img: Array) -> Drawn:
        """``holes``: their sides, and places in the image."""
        low, high = self.holes
        holes: list[Hole] = []
        for _ in range(int(rng.integers(low, high + 1))):
            height, width = (_side(rng, *each) for each in ((self.height, img.shape[0]), (self.width, img.shape[1])))
            top, left = int(rng.integers(img.shape[0] - height + 1)), int(rng.integers(img.shape[1] - width + 1))
            holes.append((left, top, left + width, top + height))
        return {'holes': holes}


def _range(what: str, low: Any, high: Any) -> tuple[Any, Any]:
    """Least and greatest."""
    low = high if low is None else low
    if not 0 < low <= high or isinstance(low, float) != isinstance(high, float):
        raise ValueError(f'min_{what} and max_{what} are in order and of one kind, not {low} and {high}')
    return low, high


def _side(rng: np.random.Generator, limits: tuple[Any, Any], length: int) -> int:
    """A side in pixels, of an image that is so long."""
    low, high = limits
    if isinstance(low, float):
        return int(length * rng.uniform(low, high))
    return min(int(rng.integers(low, high + 1)), length)


@TRANSFORMS.register_module()
class GridDropout(_Dropout):
    """Fill a rectangle in each unit of a grid.

    "GridMask Data Augmentation" (Chen et al., 2020, arXiv:2001.04086).

    Args:
        ratio: Sides of a rectangle as parts of the unit's.
        unit_size_min: Least side of a unit; None has ``holes_number`` say it.
        unit_size_max: Greatest side of a unit.
        holes_number_x: Units side by side; None for ten.
        holes_number_y: Units one above the other; None for units of equal sides.
        shift_x: Where the first rectangle begins.
        shift_y: Where the first rectangle begins.
        random_offset: Draw where the first rectangle begins.
        fill_value: What fills them, a number or one for each channel.
        p: Probability.

    Raises:
        ValueError: ``ratio`` is not between 0 and 1, or sides of units are not in order.
    """

    def __init__(
        self,
        ratio: float = 0.5,
        unit_size_min: int | None = None,
        unit_size_max: int | None = None,
        holes_number_x: int | None = None,
        holes_number_y: int | None = None,
        shift_x: int = 0,
        shift_y: int = 0,
        random_offset: bool = False,
        fill_value: float | Sequence[float] = 0,
        p: float = 0.5,
    ) -> None:
        super().__init__(fill_value, p)
        if not 0 < ratio <= 1:
            raise ValueError(f'ratio is a part, 0 to 1, not {ratio}')
        if unit_size_min is not None and unit_size_max is not None and not 2 <= unit_size_min <= unit_size_max:
            raise ValueError(
                f'unit_size_min={unit_size_min} and unit_size_max={unit_size_max} are not 2 or more in order'
            )
        self.ratio = ratio
        self.unit_size_min, self.unit_size_max = unit_size_min, unit_size_max
        self.holes_number_x, self.holes_number_y = holes_number_x, holes_number_y
        self.shift_x, self.shift_y = shift_x, shift_y
        self.random_offset = random_offset

    def unit(self, rng: np.random.Generator, width: int, height: int) -> tuple[int, int]:
        """Width and height of a unit of the grid."""
        if self.unit_size_min is not None and self.unit_size_max is not None:
            side = min(int(rng.integers(self.unit_size_min, self.unit_size_max + 1)), width, height)
            return side, side
        across = max(2, width // 10) if self.holes_number_x is None else width // self.holes_number_x
        down = max(2, min(across, height)) if self.holes_number_y is None else height // self.holes_number_y
        return across, down

    def drawn(self, rng: np.random.Generator, img: Array) -> Drawn:
        """``holes``: one in each unit."""
        height, width = img.shape[:2]
        unit = self.unit(rng, width, height)
        sides = [min(max(int(each * self.ratio), 1), max(each - 1, 1)) for each in unit]
        free = [each - side for each, side in zip(unit, sides, strict=True)]
        if self.random_offset:
            shift = [int(rng.integers(each + 1)) for each in free]
        else:
            shift = [min(max(0, each), most) for each, most in zip((self.shift_x, self.shift_y), free, strict=True)]
        return {
            'holes': [
                (left, top, min(left + sides[0], width), min(top + sides[1], height))
                for left in range(shift[0], width, unit[0])
                for top in range(shift[1], height, unit[1])
            ]
        }
