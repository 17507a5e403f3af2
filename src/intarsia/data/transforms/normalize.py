"""Normalization as a step of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.device import DeviceNormalize
from intarsia.data.io.normalize import normalization_table, normalize
from intarsia.data.transforms.image_transform import Array, ImageTransform
from intarsia.data.transforms.transform import Results


@TRANSFORMS.register_module()
class Normalize(ImageTransform):
    """Subtract a mean and divide by a standard deviation, by channel; the image becomes float32.

    Sets ``img_norm_cfg`` to what was done.

    Args:
        mean: One number a channel, in the order of the result.
        std: Likewise.
        to_rgb: Turn BGR into RGB first. An image without colours stays as it is.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], to_rgb: bool = True) -> None:
        self.mean = np.array(mean, np.float32)
        self.std = np.array(std, np.float32)
        self.to_rgb = to_rgb
        if len(self.mean) != len(self.std):
            raise ValueError(f'Normalize got {len(self.mean)} means and {len(self.std)} standard deviations')
        self._table = normalization_table(self.mean, self.std)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Normalize; nothing is drawn."""
        super().__call__(results, rng)
        results['img_norm_cfg'] = {'mean': self.mean, 'std': self.std, 'to_rgb': self.to_rgb}
        return results

    @staticmethod
    def on_device(mean: Sequence[float], std: Sequence[float], to_rgb: bool = True) -> DeviceNormalize:
        """The same for a batch of images ``(N, C, H, W)``."""
        return DeviceNormalize(mean, std, to_rgb)

    def apply(self, img: Array) -> Array:
        """``(H, W[, C])`` to float32 of that shape."""
        return normalize(img, self.mean, self.std, self.to_rgb, self._table)
