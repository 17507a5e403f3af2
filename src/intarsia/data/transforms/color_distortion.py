"""What photometric distortions have in common."""

from __future__ import annotations

from collections.abc import Sequence

from intarsia.data.transforms.image_transform import ImageTransform

HUES = 180
"""OpenCV's hues of uint8 images are 0 ... 179, two degrees each."""


class ColorDistortion(ImageTransform):
    """Changes brightness, contrast, saturation and hue; each task draws and applies them in a way of its own.

    From "SSD: Single Shot MultiBox Detector", Liu et al., 2015, arXiv:1512.02325.

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
