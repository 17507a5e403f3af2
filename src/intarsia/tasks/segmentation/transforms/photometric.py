"""Photometric distortion."""

from __future__ import annotations

import cv2
import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.tone import apply_table, linear_table
from intarsia.data.transforms.color_distortion import HUES, ColorDistortion
from intarsia.data.transforms.image_transform import Array, Drawn

_RAMP = np.arange(256, dtype=np.uint8)


@TRANSFORMS.register_module()
class PhotoMetricDistortion(ColorDistortion):
    """Change brightness, contrast, saturation and hue, each with probability one half.

    Contrast comes right after brightness or at the end, as is drawn too. From "SSD: Single Shot MultiBox Detector",
    Liu et al., 2015, arXiv:1512.02325.

    Arguments as :class:`~intarsia.data.transforms.color_distortion.ColorDistortion`.
    """

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
            img = _map_hsv(img, 0, ((_RAMP.astype(np.int64) + hue) % HUES).astype(np.uint8))
        if contrast is not None and not contrast_first:
            img = apply_table(img, linear_table(contrast))
        return img


def _map_hsv(img: Array, channel: int, table: Array) -> Array:
    """Map one channel of an image's HSV form by a table."""
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
    cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, channel), table), hsv, channel)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR, dst=hsv)
