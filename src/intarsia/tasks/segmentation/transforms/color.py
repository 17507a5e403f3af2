"""Grey values and contrast of segmentation pipelines; masks stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.tone import apply_table
from intarsia.data.transforms.image_transform import Array, ImageTransform


@TRANSFORMS.register_module()
class RGB2Gray(ImageTransform):
    """Replace the channels of an image by their weighted mean; the image becomes float64.

    Args:
        out_channels: How many equal channels the result has; None keeps their number.
        weights: Of the channels, in their order (BGR, unless the image was swapped).
    """

    def __init__(self, out_channels: int | None = None, weights: Sequence[float] = (0.299, 0.587, 0.114)) -> None:
        if out_channels is not None and out_channels <= 0:
            raise ValueError(f'RGB2Gray gives at least one channel, not {out_channels}')
        self.out_channels = out_channels
        self.weights = tuple(weights)

    def apply(self, img: Array) -> Array:
        """``(H, W, C)`` to ``(H, W, out_channels)``."""
        if img.ndim != 3 or img.shape[2] != len(self.weights):
            raise ValueError(f'RGB2Gray has {len(self.weights)} weights for an image of shape {img.shape}')
        gray = img @ np.array(self.weights, np.float64)
        return np.repeat(gray[..., None], self.out_channels or img.shape[2], axis=2)


@TRANSFORMS.register_module()
class AdjustGamma(ImageTransform):
    """Gamma correction: ``255 * (value / 255) ** (1 / gamma)``, fractions cut off.

    Args:
        gamma: Greater than 1 brightens.
    """

    def __init__(self, gamma: float = 1.0) -> None:
        if gamma <= 0:
            raise ValueError(f'gamma is positive, not {gamma}')
        self.gamma = gamma
        self._table = np.array([(i / 255) ** (1 / gamma) * 255 for i in range(256)])

    def apply(self, img: Array) -> Array:
        """The corrected image, uint8; other dtypes are converted first."""
        return apply_table(img.astype(np.uint8, copy=False), self._table)


@TRANSFORMS.register_module()
class CLAHE(ImageTransform):
    """Contrast limited adaptive histogram equalization, channel by channel.

    From "Contrast Limited Adaptive Histogram Equalization", Zuiderveld, Graphics Gems IV, 1994.

    Args:
        clip_limit: Threshold of the contrast.
        tile_grid_size: ``(columns, rows)`` of the grid within whose tiles histograms are equalized.
    """

    def __init__(self, clip_limit: float = 40.0, tile_grid_size: Sequence[int] = (8, 8)) -> None:
        self.clip_limit = clip_limit
        self.tile_grid_size = tile_grid_size[0], tile_grid_size[1]

    def apply(self, img: Array) -> Array:
        """The equalized image, of the same shape and dtype; it is computed in uint8."""
        equalizer = cv2.createCLAHE(self.clip_limit, self.tile_grid_size)
        planes = [equalizer.apply(plane.astype(np.uint8, copy=False)) for plane in cv2.split(img)]
        return np.dstack(planes).reshape(img.shape).astype(img.dtype, copy=False)


@TRANSFORMS.register_module()
class Rerange(ImageTransform):
    """Stretch (or squeeze) the values of an image to a range; the image becomes float64.

    Args:
        min_value: What the smallest value becomes.
        max_value: What the greatest becomes.
    """

    def __init__(self, min_value: float = 0, max_value: float = 255) -> None:
        if min_value >= max_value:
            raise ValueError(f'Rerange needs min_value < max_value, not {min_value} and {max_value}')
        self.min_value = min_value
        self.max_value = max_value

    def apply(self, img: Array) -> Array:
        """The stretched image; one without any contrast gets ``min_value`` everywhere."""
        low, high = float(img.min()), float(img.max())
        share = (img - low) / (high - low or 1.0)
        return share * (self.max_value - self.min_value) + self.min_value
