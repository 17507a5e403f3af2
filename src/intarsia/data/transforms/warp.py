"""Operations that move pixels: shear, translate, rotate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io import affine
from intarsia.data.io.geometry import INTERPOLATIONS
from intarsia.data.transforms.image_transform import (
    Array,
    Drawn,
    SignedOperation,
    require_choice,
    three_channels,
)

_DIRECTIONS = ('horizontal', 'vertical')


class _DirectedOperation(SignedOperation):
    """A shift of pixels along one axis.

    Args:
        magnitude: How far.
        pad_val: Colour of what comes from outside, a number or one for each channel.
        prob: Probability of taking the step.
        direction: ``'horizontal'`` or ``'vertical'``.
        random_negative_prob: Probability of the other direction.
        interpolation: A name OpenCV has.
    """

    def __init__(
        self,
        magnitude: float,
        pad_val: int | Sequence[int] = 128,
        prob: float = 0.5,
        direction: Literal['horizontal', 'vertical'] = 'horizontal',
        random_negative_prob: float = 0.5,
        interpolation: Literal['nearest', 'bilinear', 'bicubic', 'area', 'lanczos'] = 'bicubic',
    ) -> None:
        super().__init__(magnitude, prob, random_negative_prob)
        self.pad_val = three_channels('pad_val', pad_val)
        self.direction = require_choice('direction', direction, _DIRECTIONS)
        self.interpolation = require_choice('interpolation', interpolation, INTERPOLATIONS['cv2'])


@TRANSFORMS.register_module()
class Shear(_DirectedOperation):
    """Shear an image: row y (or column x) is shifted by ``magnitude * y`` pixels.

    Args:
        magnitude: Pixels a row.
        pad_val: Colour of what comes from outside, a number or one for each channel.
        prob: Probability of taking the step.
        direction: ``'horizontal'`` or ``'vertical'``.
        random_negative_prob: Probability of the other direction.
        interpolation: A name OpenCV has.
    """

    def apply(self, img: Array, magnitude: float) -> Array:
        """The sheared image."""
        return affine.shear(img, magnitude, self.direction, self.pad_val, self.interpolation)


@TRANSFORMS.register_module()
class Translate(_DirectedOperation):
    """Shift an image by a share of its size.

    Args:
        magnitude: Share of the width (or height).
        pad_val: Colour of what comes from outside, a number or one for each channel.
        prob: Probability of taking the step.
        direction: ``'horizontal'`` (to the right) or ``'vertical'`` (down).
        random_negative_prob: Probability of the other direction.
        interpolation: A name OpenCV has.
    """

    def __init__(
        self,
        magnitude: float,
        pad_val: int | Sequence[int] = 128,
        prob: float = 0.5,
        direction: Literal['horizontal', 'vertical'] = 'horizontal',
        random_negative_prob: float = 0.5,
        interpolation: Literal['nearest', 'bilinear', 'bicubic', 'area', 'lanczos'] = 'nearest',
    ) -> None:
        super().__init__(magnitude, pad_val, prob, direction, random_negative_prob, interpolation)

    def apply(self, img: Array, magnitude: float) -> Array:
        """The shifted image."""
        offset = magnitude * img.shape[1 if self.direction == 'horizontal' else 0]
        return affine.translate(img, offset, self.direction, self.pad_val, self.interpolation)


@TRANSFORMS.register_module()
class Rotate(SignedOperation):
    """Rotate an image within its frame.

    Args:
        angle: Degrees, clockwise.
        center: ``(x, y)`` of the pixel that stays; the middle of the image if not given.
        scale: Zoom about the centre.
        pad_val: Colour of what comes from outside, a number or one for each channel.
        prob: Probability of taking the step.
        random_negative_prob: Probability of turning counter-clockwise.
        interpolation: A name OpenCV has.
    """

    strength = 'angle'

    def __init__(
        self,
        angle: float,
        center: Sequence[float] | None = None,
        scale: float = 1.0,
        pad_val: int | Sequence[int] = 128,
        prob: float = 0.5,
        random_negative_prob: float = 0.5,
        interpolation: Literal['nearest', 'bilinear', 'bicubic', 'area', 'lanczos'] = 'nearest',
    ) -> None:
        super().__init__(angle, prob, random_negative_prob)
        self.center = None if center is None else (float(center[0]), float(center[1]))
        self.scale = scale
        self.pad_val = three_channels('pad_val', pad_val)
        self.interpolation = require_choice('interpolation', interpolation, INTERPOLATIONS['cv2'])

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'angle': ...}`` with its sign."""
        drawn = super().draw(rng, img)
        return None if drawn is None else {'angle': drawn['magnitude']}

    def apply(self, img: Array, angle: float) -> Array:
        """The rotated image."""
        return affine.rotate(img, angle, self.center, self.scale, self.pad_val, self.interpolation)
