"""Random grey images and random light."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.color import swap_red_blue, to_gray
from intarsia.data.io.photometric import add_lighting
from intarsia.data.transforms.image_transform import Array, Drawn, ImageTransform, require_probability


@TRANSFORMS.register_module()
class RandomGrayscale(ImageTransform):
    """Take the colours out of an image.

    Args:
        gray_prob: Probability of doing so.
        channel_weights: Share of each channel in the grey value. Without them, the first channel counts 0.299, the
            second 0.587, the third 0.114: on BGR images blue and red have each other's weights, as they had in the
            published trainings.
        keep_channels: Give three equal channels; otherwise the result is ``(H, W)``.
    """

    def __init__(
        self,
        gray_prob: float = 0.1,
        channel_weights: Sequence[float] | None = None,
        keep_channels: bool = True,
    ) -> None:
        self.gray_prob = require_probability('gray_prob', gray_prob)
        self.channel_weights = channel_weights
        self.keep_channels = keep_channels

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """Nothing but whether the step is taken; never for images without colours."""
        taken = rng.random() < self.gray_prob
        return {} if taken and img.ndim == 3 and img.shape[2] == 3 else None

    def apply(self, img: Array) -> Array:
        """``(H, W, 3)`` to the same shape, or to ``(H, W)``."""
        gray = to_gray(img, self.channel_weights)
        return np.repeat(gray[..., None], 3, axis=2) if self.keep_channels else gray


@TRANSFORMS.register_module()
class Lighting(ImageTransform):
    """Add a random colour along the principal axes of natural images; the image becomes float64, and is not clipped.

    From "ImageNet Classification with Deep Convolutional Neural Networks", Krizhevsky, Sutskever, Hinton, 2012.

    Args:
        eigval: Variances along the axes, ``(K,)``.
        eigvec: Axes, ``(3, K)``: one row a channel.
        alphastd: Standard deviation of the normal weights of the axes.
        to_rgb: Turn BGR into RGB first; the result stays RGB.
    """

    def __init__(
        self,
        eigval: Sequence[float],
        eigvec: Sequence[Sequence[float]],
        alphastd: float = 0.1,
        to_rgb: bool = True,
    ) -> None:
        self.eigval = np.array(eigval, np.float64)
        self.eigvec = np.array(eigvec, np.float64)
        if self.eigvec.shape != (3, len(self.eigval)):
            raise ValueError(f'Lighting needs eigvec (3, K) for eigval (K,), not {self.eigvec.shape} for {eigval}')
        self.alphastd = alphastd
        self.to_rgb = to_rgb

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'alpha': (K,)}``."""
        return {'alpha': rng.normal(0, self.alphastd, len(self.eigval))}

    def apply(self, img: Array, alpha: Array) -> Array:
        """See :func:`intarsia.data.io.photometric.add_lighting`."""
        return add_lighting(swap_red_blue(img) if self.to_rgb else img, self.eigval, self.eigvec, alpha)
