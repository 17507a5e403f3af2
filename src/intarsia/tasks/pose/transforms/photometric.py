"""Changes of colour. Images are RGB, uint8 ``(H, W, 3)``."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.tone import apply_table, linear_table
from intarsia.data.transforms.color_distortion import HUES, ColorDistortion
from intarsia.data.transforms.image_transform import Array, Drawn, ImageTransform

RAMP = np.arange(256)


@TRANSFORMS.register_module()
class PhotometricDistortion(ColorDistortion):
    """Change brightness and contrast, each with probability one half, and with 3/4 saturation, hue or both.

    Contrast comes right after brightness or at the end, as is drawn too. From "SSD: Single Shot MultiBox Detector",
    Liu et al., 2015, arXiv:1512.02325.

    Arguments as :class:`~intarsia.data.transforms.color_distortion.ColorDistortion`.
    """

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """A value for each quantity (None leaves it alone), and whether contrast is the first after brightness."""
        bright, contrast, first = (rng.integers(2, size=3) == 1).tolist()
        colors = int(rng.integers(4))
        return {
            'brightness': rng.uniform(-self.brightness_delta, self.brightness_delta) if bright else None,
            'contrast': rng.uniform(*self.contrast_range) if contrast else None,
            'saturation': rng.uniform(*self.saturation_range) if colors & 1 else None,
            'hue': int(rng.integers(-self.hue_delta, self.hue_delta)) if colors & 2 and self.hue_delta else None,
            'contrast_first': first,
        }

    def apply(
        self,
        img: Array,
        brightness: float | None = None,
        contrast: float | None = None,
        saturation: float | None = None,
        hue: int | None = None,
        contrast_first: bool = True,
    ) -> Array:
        """The image with other colours; red is taken as blue and blue as red, as the published models were trained."""
        if brightness is not None:
            img = apply_table(img, linear_table(1.0, brightness))
        if contrast is not None and contrast_first:
            img = apply_table(img, linear_table(contrast))
        if saturation is not None or hue is not None:
            hsv = cv2.split(cv2.cvtColor(img, cv2.COLOR_BGR2HSV))
            turned = hsv[0] if hue is None else apply_table(hsv[0], ((RAMP + hue) % HUES).astype(np.uint8))
            saturated = hsv[1] if saturation is None else apply_table(hsv[1], linear_table(saturation))
            img = cv2.cvtColor(cv2.merge([turned, saturated, hsv[2]]), cv2.COLOR_HSV2BGR)
        if contrast is not None and not contrast_first:
            img = apply_table(img, linear_table(contrast))
        return img


@TRANSFORMS.register_module()
class YOLOXHSVRandomAug(ImageTransform):
    """Shift hue, saturation and value, each with probability one half.

    From "YOLOX: Exceeding YOLO Series in 2021", Ge et al., 2021, arXiv:2107.08430.

    Args:
        hue_delta: Greatest shift of the hue, in OpenCV's 180 steps of a full turn.
        saturation_delta: Greatest shift of the saturation, of 255.
        value_delta: Greatest shift of the value, of 255.
    """

    def __init__(self, hue_delta: int = 5, saturation_delta: int = 30, value_delta: int = 30) -> None:
        self.hue_delta = hue_delta
        self.saturation_delta = saturation_delta
        self.value_delta = value_delta

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``shifts``: of the three, whole numbers."""
        most = np.array([self.hue_delta, self.saturation_delta, self.value_delta])
        return {'shifts': (rng.uniform(-1, 1, 3) * most * rng.integers(2, size=3)).astype(int).tolist()}

    def apply(self, img: Array, shifts: Sequence[int]) -> Array:
        """The image with other colours."""
        hue, saturation, value = cv2.split(cv2.cvtColor(img, cv2.COLOR_RGB2HSV))
        turned = apply_table(hue, ((RAMP + shifts[0]) % HUES).astype(np.uint8))
        others = (apply_table(c, linear_table(1.0, s)) for c, s in zip((saturation, value), shifts[1:], strict=True))
        return cv2.cvtColor(cv2.merge([turned, *others]), cv2.COLOR_HSV2RGB)
