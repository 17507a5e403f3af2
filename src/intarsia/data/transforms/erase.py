"""Steps that overwrite a rectangle: Cutout and random erasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import fill_box
from intarsia.data.transforms.image_transform import (
    Array,
    Drawn,
    ImageTransform,
    Operation,
    require_choice,
    require_probability,
    three_channels,
)


@TRANSFORMS.register_module()
class Cutout(Operation):
    """Paint a rectangle over an image; its centre may be anywhere in it.

    From "Improved Regularization of Convolutional Neural Networks with Cutout", DeVries, Taylor, 2017,
    arXiv:1708.04552.

    Args:
        shape: ``(height, width)`` of the rectangle in pixels, or one number for both.
        pad_val: Its colour, a number or one for each channel.
        prob: Probability of taking the step.
    """

    strength = 'shape'

    def __init__(self, shape: float | Sequence[float], pad_val: int | Sequence[int] = 128, prob: float = 0.5) -> None:
        super().__init__(prob)
        height, width = (shape, shape) if isinstance(shape, (int, float)) else shape
        self.shape = int(height), int(width)
        self.pad_val = three_channels('pad_val', pad_val)

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'y': ..., 'x': ...}``: the centre, uniform over the image."""
        if super().draw(rng, img) is None:
            return None
        height, width = img.shape[:2]
        return {'y': rng.uniform(0, height), 'x': rng.uniform(0, width)}

    def apply(self, img: Array, y: float, x: float) -> Array:
        """A copy with the rectangle; what would lie above or left of the image moves it inwards."""
        height, width = self.shape
        top, left = int(max(0, y - height / 2)), int(max(0, x - width / 2))
        return fill_box(img, top, left, height, width, self.pad_val if img.ndim == 3 else self.pad_val[0])


@TRANSFORMS.register_module()
class RandomErasing(ImageTransform):
    """Overwrite a rectangle of random size, shape and place with a colour or with noise.

    From "Random Erasing Data Augmentation", Zhong et al., 2017, arXiv:1708.04896.

    Args:
        erase_prob: Probability of taking the step.
        min_area_ratio: Least share of the image that is erased.
        max_area_ratio: Greatest share.
        aspect_range: Range of height / width, drawn evenly on a logarithmic scale; one number ``a`` means
            ``(a, 1 / a)``.
        mode: ``'const'`` fills with ``fill_color``, ``'rand'`` with noise.
        fill_color: A number, or one for each channel.
        fill_std: The noise is normal about ``fill_color`` with this deviation; without it, uniform in 0..255.
    """

    def __init__(
        self,
        erase_prob: float = 0.5,
        min_area_ratio: float = 0.02,
        max_area_ratio: float = 0.4,
        aspect_range: float | Sequence[float] = (3 / 10, 10 / 3),
        mode: Literal['const', 'rand'] = 'const',
        fill_color: float | Sequence[float] = (128, 128, 128),
        fill_std: float | Sequence[float] | None = None,
    ) -> None:
        self.erase_prob = require_probability('erase_prob', erase_prob)
        self.min_area_ratio = require_probability('min_area_ratio', min_area_ratio)
        self.max_area_ratio = require_probability('max_area_ratio', max_area_ratio)
        if isinstance(aspect_range, (int, float)):
            aspect_range = sorted((aspect_range, 1 / aspect_range))
        self.aspect_range = float(aspect_range[0]), float(aspect_range[1])
        if not 0 < self.aspect_range[0] <= self.aspect_range[1] or self.min_area_ratio > self.max_area_ratio:
            raise ValueError(
                f'RandomErasing needs positive ranges (least, greatest), not aspect {aspect_range} '
                f'and area {min_area_ratio} to {max_area_ratio}'
            )
        self.mode = require_choice('mode', mode, ('const', 'rand'))
        self.fill_color = three_channels('fill_color', fill_color)
        self.fill_std = None if fill_std is None else three_channels('fill_std', fill_std)

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``top``, ``left``, ``height``, ``width`` of the rectangle, and ``fill``: what goes there."""
        if rng.random() >= self.erase_prob:
            return None
        rows, columns = img.shape[:2]
        aspect = math.exp(rng.uniform(math.log(self.aspect_range[0]), math.log(self.aspect_range[1])))
        area = rows * columns * rng.uniform(self.min_area_ratio, self.max_area_ratio)
        height = min(round(math.sqrt(area * aspect)), rows)
        width = min(round(math.sqrt(area / aspect)), columns)
        # The last possible position is left out, as it was in the published trainings.
        top = int(rng.integers(rows - height)) if rows > height else 0
        left = int(rng.integers(columns - width)) if columns > width else 0
        fill = self._noise(rng, (height, width, 3)) if self.mode == 'rand' else None
        return {'top': top, 'left': left, 'height': height, 'width': width, 'fill': fill}

    def apply(self, img: Array, top: int, left: int, height: int, width: int, fill: Any = None) -> Array:
        """A copy with the rectangle filled by ``fill``, or by the constant colour."""
        value = np.asarray(self.fill_color if fill is None else fill).astype(img.dtype)
        return fill_box(img, top, left, height, width, value if img.ndim == 3 else value[..., 0])

    def _noise(self, rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
        if self.fill_std is None:
            return rng.integers(0, 256, shape, dtype=np.uint8)
        return np.clip(rng.normal(self.fill_color, self.fill_std, shape), 0, 255).astype(np.uint8)
