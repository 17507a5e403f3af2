"""Photometric distortion."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.tone import apply_table
from intarsia.data.transforms.image_transform import Array, Drawn, ImageTransform

_RAMP = np.arange(256, dtype=np.uint8)
_HUES = 180
"""OpenCV's hues of uint8 images are 0 ... 179, two degrees each."""


@TRANSFORMS.register_module()
class PhotoMetricDistortion(ImageTransform):
    """Change brightness, contrast, saturation and hue, each with probability one half.

    Contrast comes right after brightness or at the end, as is drawn too. From "SSD: Single Shot MultiBox Detector",
    Liu et al., 2015, arXiv:1512.02325.

    Args:
        brightness_delta: Grey values that are added at most, or subtracted.
        contrast_range: Factors ``(least, greatest)`` of all values.
        saturation_range: Factors of the saturation.
        hue_delta: Greatest shift of the hue, in OpenCV's 180 steps of a full turn.
    """

    def __init__(
        self,
        brightness_delta: float = 32,
        contrast_range: Sequence[float] = (0.5, 1.5),
        saturation_range: Sequence[float] = (0.5, 1.5),
        hue_delta: int = 18,
    ) -> None:
        self.brightness_delta = brightness_delta
        self.contrast_range = contrast_range[0], contrast_range[1]
        self.saturation_range = saturation_range[0], saturation_range[1]
        self.hue_delta = hue_delta

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """A value for each quantity (None leaves it alone), and whether contrast is the first after brightness."""
        bright, contrast, saturated, turned, first = (rng.integers(2, size=5) == 1).tolist()
        return {
            'brightness': rng.uniform(-self.brightness_delta, self.brightness_delta) if bright else None,
            'contrast': rng.uniform(*self.contrast_range) if contrast else None,
            'saturation': rng.uniform(*self.saturation_range) if saturated else None,
            'hue': int(rng.integers(-self.hue_delta, self.hue_delta)) if turned and self.hue_delta else None,
            'contrast_first': first,
        }

    def apply(
        self,
        img: Array,
        brightness: float | None = None,
        contrast: float | None = None,
        saturation: float | None = None,
        hue: float | None = None,
        contrast_first: bool = True,
    ) -> Array:
        """``(H, W, 3)`` uint8 BGR to the same. Successive maps of grey values become one table."""
        table = _RAMP if brightness is None else linear_table(1.0, brightness)
        if contrast is not None and contrast_first:
            table = linear_table(contrast)[table]
        if table is not _RAMP:
            img = apply_table(img, table)
        if saturation is not None:
            img = _map_hsv(img, 1, linear_table(saturation))
        if hue is not None:
            img = _map_hsv(img, 0, ((_RAMP.astype(np.int64) + hue) % _HUES).astype(np.uint8))
        if contrast is not None and not contrast_first:
            img = apply_table(img, linear_table(contrast))
        return img


def linear_table(factor: float, offset: float = 0.0) -> Array:
    """``value * factor + offset`` of the 256 grey values: float32 within 0 ... 255, then uint8, fractions cut off."""
    return np.clip(_RAMP.astype(np.float32) * float(factor) + float(offset), 0, 255).astype(np.uint8)


def _map_hsv(img: Array, channel: int, table: Array) -> Array:
    """Map one channel of an image's HSV form by a table."""
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
    cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, channel), table), hsv, channel)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR, dst=hsv)
