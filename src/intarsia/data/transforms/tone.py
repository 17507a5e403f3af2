"""Operations on grey values and colours, the place of pixels staying as it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io import photometric, tone
from intarsia.data.transforms.image_transform import Array, Drawn, Operation, SignedOperation


@TRANSFORMS.register_module()
class Identity(Operation):
    """Leave the image as it is; the neutral member of a list of policies.

    Args:
        prob: Without effect.
    """

    def apply(self, img: Array) -> Array:
        """The image itself."""
        return img


@TRANSFORMS.register_module()
class AutoContrast(Operation):
    """Stretch each channel to the full range of values.

    Args:
        prob: Probability of taking the step.
    """

    def apply(self, img: Array) -> Array:
        """See :func:`intarsia.data.io.tone.auto_contrast`."""
        return tone.auto_contrast(img)


@TRANSFORMS.register_module()
class Equalize(Operation):
    """Spread the values of each channel evenly.

    Args:
        prob: Probability of taking the step.
    """

    def apply(self, img: Array) -> Array:
        """See :func:`intarsia.data.io.tone.equalize`."""
        return tone.equalize(img)


@TRANSFORMS.register_module()
class Invert(Operation):
    """Make the negative of an image.

    Args:
        prob: Probability of taking the step.
    """

    def apply(self, img: Array) -> Array:
        """``255 - img``."""
        return tone.invert(img)


@TRANSFORMS.register_module()
class Solarize(Operation):
    """Make the negative of bright values.

    Args:
        thr: The lowest of them, 0 to 256.
        prob: Probability of taking the step.
    """

    strength = 'thr'

    def __init__(self, thr: float, prob: float = 0.5) -> None:
        super().__init__(prob)
        self.thr = thr

    def apply(self, img: Array) -> Array:
        """See :func:`intarsia.data.io.tone.solarize`."""
        return tone.solarize(img, self.thr)


@TRANSFORMS.register_module()
class SolarizeAdd(Operation):
    """Brighten dark values.

    Args:
        magnitude: What is added; sums beyond 255 become 255.
        thr: Values below this one are brightened.
        prob: Probability of taking the step.
    """

    strength = 'magnitude'

    def __init__(self, magnitude: float, thr: float = 128, prob: float = 0.5) -> None:
        super().__init__(prob)
        self.magnitude = magnitude
        self.thr = thr

    def apply(self, img: Array) -> Array:
        """See :func:`intarsia.data.io.tone.solarize_add`."""
        return tone.solarize_add(img, self.magnitude, self.thr)


@TRANSFORMS.register_module()
class Posterize(Operation):
    """Keep only the highest bits of each value.

    Args:
        bits: How many, 0 to 8, rounded up.
        prob: Probability of taking the step.
    """

    strength = 'bits'

    def __init__(self, bits: float, prob: float = 0.5) -> None:
        super().__init__(prob)
        self.bits = math.ceil(bits)
        if not 0 <= self.bits <= 8:
            raise ValueError(f'Posterize keeps 0 to 8 bits, not {bits}')

    def apply(self, img: Array) -> Array:
        """See :func:`intarsia.data.io.tone.posterize`."""
        return tone.posterize(img, self.bits)


@TRANSFORMS.register_module()
class Brightness(SignedOperation):
    """Make an image brighter (or darker), by the factor ``1 + magnitude``.

    Args:
        magnitude: -1 makes it black, 0 leaves it as it is.
        prob: Probability of taking the step.
        random_negative_prob: Probability of the negative magnitude.
    """

    def apply(self, img: Array, magnitude: float) -> Array:
        """See :func:`intarsia.data.io.photometric.adjust_brightness`."""
        return photometric.adjust_brightness(img, 1 + magnitude)


@TRANSFORMS.register_module()
class Contrast(SignedOperation):
    """Raise (or lower) the contrast, by the factor ``1 + magnitude``.

    Args:
        magnitude: -1 makes the image uniformly grey, 0 leaves it as it is.
        prob: Probability of taking the step.
        random_negative_prob: Probability of the negative magnitude.
    """

    def apply(self, img: Array, magnitude: float) -> Array:
        """See :func:`intarsia.data.io.photometric.adjust_contrast`."""
        return photometric.adjust_contrast(img, 1 + magnitude)


@TRANSFORMS.register_module()
class ColorTransform(SignedOperation):
    """Make colours stronger (or weaker), by the factor ``1 + magnitude``.

    Args:
        magnitude: -1 makes the image grey, 0 leaves it as it is.
        prob: Probability of taking the step.
        random_negative_prob: Probability of the negative magnitude.
    """

    def apply(self, img: Array, magnitude: float) -> Array:
        """See :func:`intarsia.data.io.photometric.adjust_color`."""
        return photometric.adjust_color(img, 1 + magnitude)


@TRANSFORMS.register_module()
class Sharpness(SignedOperation):
    """Sharpen (or smooth) an image, by the factor ``1 + magnitude``.

    Args:
        magnitude: -1 smooths it over 3x3 pixels, 0 leaves it as it is.
        prob: Probability of taking the step.
        random_negative_prob: Probability of the negative magnitude.
    """

    def apply(self, img: Array, magnitude: float) -> Array:
        """See :func:`intarsia.data.io.photometric.adjust_sharpness`."""
        return photometric.adjust_sharpness(img, 1 + magnitude)


@TRANSFORMS.register_module()
class GaussianBlur(Operation):
    """Blur an image.

    Args:
        radius: Standard deviation of the Gaussian in pixels; of two numbers, one in between is drawn uniformly.
        prob: Probability of taking the step.
    """

    strength = 'radius'

    def __init__(self, radius: float | Sequence[float], prob: float = 0.5) -> None:
        super().__init__(prob)
        self.radius = (radius, radius) if isinstance(radius, (int, float)) else (radius[0], radius[1])

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'radius': ...}``."""
        if super().draw(rng, img) is None:
            return None
        return {'radius': rng.uniform(*self.radius)}

    def apply(self, img: Array, radius: float) -> Array:
        """See :func:`intarsia.data.io.photometric.gaussian_blur`."""
        return photometric.gaussian_blur(img, radius)
