"""Changes of colour and erased boxes. Frames are RGB, uint8 ``(H, W, 3)``; all frames of a sample are changed alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import cv2
import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import Size
from intarsia.data.io.tone import apply_table
from intarsia.data.transforms import erase
from intarsia.data.transforms.color_distortion import HUES
from intarsia.data.transforms.image_transform import Array, Drawn
from intarsia.data.transforms.transform import Results
from intarsia.tasks.action.transforms.clip_transform import ClipTransform

Range = tuple[float, float]
RAMP = np.arange(256)


@TRANSFORMS.register_module()
class ColorJitter(ClipTransform):
    """Change brightness, contrast, saturation and hue, in random order and by random factors.

    Args:
        brightness: The factor is uniform in ``[1 - brightness, 1 + brightness]``, or in the range given by two numbers;
            within 0 to 2.
        contrast: Likewise: how far frames are from their mean grey value.
        saturation: Likewise: how far pixels are from their grey value.
        hue: The colour wheel is turned by ``[-hue, hue]`` of 255 steps, of which 180 are a full turn; within -0.5 to
            0.5.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0.5,
        contrast: float | Sequence[float] = 0.5,
        saturation: float | Sequence[float] = 0.5,
        hue: float | Sequence[float] = 0.1,
    ) -> None:
        super().__init__()
        self.brightness = _range('brightness', brightness, 1, 1)
        self.contrast = _range('contrast', contrast, 1, 1)
        self.saturation = _range('saturation', saturation, 1, 1)
        self.hue = _range('hue', hue, 0, 0.5)

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """One value for each quantity, and their ``order`` by number."""
        values = {name: rng.uniform(*getattr(self, name)) for name in ADJUSTMENTS}
        return {'order': rng.permutation(len(ADJUSTMENTS)).tolist(), **values}

    def change(
        self,
        results: Results,
        order: Sequence[int] = (0, 1, 2, 3),
        brightness: float = 1,
        contrast: float = 1,
        saturation: float = 1,
        hue: float = 0,
    ) -> Results:
        """Adjust one after the other; 0 in ``order`` is brightness, 1 contrast, 2 saturation, 3 hue."""
        adjustments = list(zip(ADJUSTMENTS.values(), (brightness, contrast, saturation, hue), strict=True))
        results['imgs'] = [_adjusted(img, [adjustments[number] for number in order]) for img in results['imgs']]
        return results


def _adjusted(img: Array, adjustments: Sequence[tuple[Callable[[Array, float], None], float]]) -> Array:
    """A frame, uint8: values are rounded after the last step only, by cutting off their fractions."""
    planes_chw = np.empty((img.shape[2], *img.shape[:2]), np.float32)
    planes_chw[:] = cv2.split(img)
    for adjust, value in adjustments:
        adjust(planes_chw, value)
    return _to_uint8(planes_chw)


def _to_uint8(planes_chw: Array) -> Array:
    """Planes as a frame ``(H, W, C)``."""
    return cv2.merge(list(np.clip(planes_chw, 0, 255).astype(np.uint8)))


def _gray(planes_chw: Array) -> Array:
    red, green, blue = planes_chw
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def _brighten(planes_chw: Array, factor: float) -> None:
    planes_chw *= np.float32(factor)


def _contrast(planes_chw: Array, factor: float) -> None:
    offset = (1 - factor) * np.mean(_gray(planes_chw))
    planes_chw *= np.float32(factor)
    planes_chw += offset


def _saturate(planes_chw: Array, factor: float) -> None:
    offset_hw = (1 - factor) * _gray(planes_chw)
    planes_chw *= np.float32(factor)
    planes_chw += offset_hw


def _turn_hue(planes_chw: Array, share: float) -> None:
    hue, saturation, value = cv2.split(cv2.cvtColor(_to_uint8(planes_chw), cv2.COLOR_RGB2HSV))
    turned = apply_table(hue, ((RAMP + int(share * 255)) % HUES).astype(np.uint8))
    planes_chw[:] = cv2.split(cv2.cvtColor(cv2.merge([turned, saturation, value]), cv2.COLOR_HSV2RGB))


ADJUSTMENTS: dict[str, Callable[[Array, float], None]] = {
    'brightness': _brighten,
    'contrast': _contrast,
    'saturation': _saturate,
    'hue': _turn_hue,
}
"""Of planes ``(C, H, W)`` float32, in place: values leave 0 ... 255 on the way."""


def _range(what: str, value: float | Sequence[float], center: float, most: float) -> Range:
    low, high = (center - value, center + value) if isinstance(value, (int, float)) else value
    if not center - most <= low <= high <= center + most:
        raise ValueError(f'ColorJitter needs {what} of 0 to {most}, or a range (least, greatest), not {value}')
    return float(low), float(high)


@TRANSFORMS.register_module()
class RandomErasing(erase.RandomErasing):
    """Overwrite the same rectangle of all frames, with a colour, or with noise that is new for each frame.

    Arguments as :class:`intarsia.data.transforms.erase.RandomErasing`, but a third of a frame is erased at most.
    """

    def __init__(
        self,
        erase_prob: float = 0.5,
        min_area_ratio: float = 0.02,
        max_area_ratio: float = 1 / 3,
        aspect_range: float | Sequence[float] = (3 / 10, 10 / 3),
        mode: Literal['const', 'rand'] = 'const',
        fill_color: float | Sequence[float] = (128, 128, 128),
        fill_std: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(erase_prob, min_area_ratio, max_area_ratio, aspect_range, mode, fill_color, fill_std)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw a rectangle, overwrite it in every frame."""
        drawn = self.draw(rng, results['imgs'][0])
        if drawn is None:
            return results
        frames = []
        for img in results['imgs']:
            frames.append(self.apply(img, **drawn))
            if drawn['fill'] is not None:
                drawn['fill'] = self._noise(rng, drawn['fill'].shape)
        results['imgs'] = frames
        return results
