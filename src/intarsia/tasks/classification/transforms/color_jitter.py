"""Colour jitter of classification pipelines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.photometric import Backend, adjust_brightness, adjust_color, adjust_contrast, adjust_hue
from intarsia.data.transforms.image_transform import Array, Drawn, ImageTransform, require_choice

Range = tuple[float, float]

_ADJUSTMENTS: dict[str, Callable[[Array, float, Backend], Array]] = {
    'brightness': adjust_brightness,
    'contrast': adjust_contrast,
    'saturation': adjust_color,
    'hue': adjust_hue,
}


@TRANSFORMS.register_module()
class ColorJitter(ImageTransform):
    """Change brightness, contrast, saturation and hue, in random order and by random factors.

    Args:
        brightness: The factor is uniform in ``[max(0, 1 - brightness), 1 + brightness]``, or in the range given by two
            numbers. 0 leaves the brightness as it is.
        contrast: Likewise.
        saturation: Likewise.
        hue: The shift is uniform in ``[-hue, hue]`` of a full turn, or in the range given; at most 0.5.
        backend: Which library does it, ``'cv2'`` or ``'pillow'``.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0.0,
        contrast: float | Sequence[float] = 0.0,
        saturation: float | Sequence[float] = 0.0,
        hue: float | Sequence[float] = 0.0,
        backend: Literal['cv2', 'pillow'] = 'cv2',
    ) -> None:
        self.brightness = _range('brightness', brightness, 1.0)
        self.contrast = _range('contrast', contrast, 1.0)
        self.saturation = _range('saturation', saturation, 1.0)
        self.hue = _range('hue', hue, 0.0)
        self.backend: Backend = require_choice('backend', backend, ('cv2', 'pillow'))

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """One value for each quantity (None leaves it alone), and their ``order`` by number."""
        ranges = {name: getattr(self, name) for name in _ADJUSTMENTS}
        order = rng.permutation(len(ranges)).tolist()
        values = {name: None if limits is None else rng.uniform(*limits) for name, limits in ranges.items()}
        return {'order': order, **values}

    def apply(
        self,
        img: Array,
        order: Sequence[int] = (0, 1, 2, 3),
        brightness: float | None = None,
        contrast: float | None = None,
        saturation: float | None = None,
        hue: float | None = None,
    ) -> Array:
        """Adjust one after the other; 0 in ``order`` is brightness, 1 contrast, 2 saturation, 3 hue."""
        steps = list(zip(_ADJUSTMENTS.values(), (brightness, contrast, saturation, hue), strict=True))
        for number in order:
            adjust, value = steps[number]
            if value is not None:
                img = adjust(img, value, self.backend)
        return img


def _range(what: str, value: float | Sequence[float], center: float) -> Range | None:
    """Least and greatest value; None if both are the one that changes nothing."""
    low, high = (center - value, center + value) if isinstance(value, (int, float)) else value
    if low > high:
        raise ValueError(f'{what} is not negative, or a range (least, greatest), not {value}')
    if what == 'hue' and not -0.5 <= low <= high <= 0.5:
        raise ValueError(f'hue is at most 0.5, not {value}')
    if what != 'hue':
        low = max(0.0, low)
    return None if low == high == center else (float(low), float(high))
