"""Which part of the image is cut out for a person: a centre, a size and an angle.

``center`` is ``(x, y)`` in pixels, ``scale`` width and height of the part in units of :data:`PIXEL_STD` pixels, both
float32 ``(2,)``; ``rotation`` is in degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array, Drawn
from intarsia.data.transforms.transform import Results, Transform

PIXEL_STD = 200.0
"""Pixels that a ``scale`` of 1 means."""


def center_and_scale(bbox: Sequence[float] | Array, size: Sequence[float] | Array, padding: float = 1.0) -> Any:
    """Centre and scale of the part with the proportions of the input that holds a box.

    Args:
        bbox: x, y, width, height in pixels.
        size: Width and height of the network's input.
        padding: How much larger than the box the part is.
    """
    x, y, width, height = (float(each) for each in bbox[:4])
    center = np.array([x + width * 0.5, y + height * 0.5], np.float32)
    return center, fitted_scale(width, height, size) * np.float32(padding)


def fitted_scale(width: float, height: float, size: Sequence[float] | Array) -> Array:
    """The scale of a box after widening it to the proportions of ``size``."""
    aspect_ratio = size[0] / size[1]
    sides = (max(width, height * aspect_ratio), max(height, width / aspect_ratio))
    return np.array(sides, np.float32) / np.float32(PIXEL_STD)


@TRANSFORMS.register_module()
class TopDownGetBboxCenterScale(Transform):
    """Set ``center`` and ``scale`` from ``bbox``; a sample that has both gets its ``scale`` padded.

    Args:
        padding: How much larger than the box the part is that is cut out.
    """

    def __init__(self, padding: float = 1.25) -> None:
        self.padding = padding

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Set both; nothing is drawn."""
        if 'center' in results and 'scale' in results:
            results['scale'] = results['scale'] * np.float32(self.padding)
        else:
            size = results['ann_info']['image_size']
            results['center'], results['scale'] = center_and_scale(results['bbox'], size, self.padding)
        return results


@TRANSFORMS.register_module()
class TopDownRandomShiftBboxCenter(Transform):
    """Move the ``center``.

    Args:
        shift_factor: By at most so much of the width and of the height.
        prob: Probability of doing so.
    """

    def __init__(self, shift_factor: float = 0.16, prob: float = 0.3) -> None:
        self.shift_factor = shift_factor
        self.prob = prob

    def draw(self, rng: np.random.Generator) -> Drawn | None:
        """``shift``: -1 ... 1 in x and y."""
        return {'shift': rng.uniform(-1, 1, 2)} if rng.random() < self.prob else None

    def apply(self, center: Array, scale: Array, shift: Array) -> Array:
        """The new centre."""
        return (center + np.asarray(shift) * self.shift_factor * scale * PIXEL_STD).astype(np.float32)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw and move."""
        drawn = self.draw(rng)
        if drawn is not None:
            results['center'] = self.apply(results['center'], results['scale'], **drawn)
        return results


@TRANSFORMS.register_module()
class TopDownGetRandomScaleRotation(Transform):
    """Multiply the ``scale`` with a factor from a normal distribution around 1, and set a ``rotation``.

    Args:
        rot_factor: Standard deviation of the angle in degrees; at most twice as much is turned.
        scale_factor: Standard deviation of the factor, and its greatest distance from 1.
        rot_prob: Probability of turning.
    """

    def __init__(self, rot_factor: float = 40, scale_factor: float = 0.5, rot_prob: float = 0.6) -> None:
        self.rot_factor = rot_factor
        self.scale_factor = scale_factor
        self.rot_prob = rot_prob

    def draw(self, rng: np.random.Generator) -> Drawn:
        """``factor``, and ``rotation`` in degrees."""
        factor, turn = rng.standard_normal(2)
        return self.drawn_from(factor, turn if rng.random() <= self.rot_prob else 0.0)

    def drawn_from(self, factor: float, turn: float) -> Drawn:
        """The draws that two numbers of the standard normal distribution mean."""
        most = self.scale_factor
        return {
            'factor': float(np.clip(factor * most + 1, 1 - most, 1 + most)),
            'rotation': float(np.clip(turn * self.rot_factor, -2 * self.rot_factor, 2 * self.rot_factor)),
        }

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw and set."""
        drawn = self.draw(rng)
        results['scale'] = results['scale'] * np.float32(drawn['factor'])
        results['rotation'] = drawn['rotation']
        return results


@TRANSFORMS.register_module()
class RandomBBoxTransform(Transform):
    """Move, scale and turn the part that is cut out, each by a normal distribution cut off at one deviation.

    Args:
        shift_factor: The ``center`` moves by at most so much of the width and of the height.
        shift_prob: Probability of moving.
        scale_factor: Least and greatest factor of the ``scale``.
        scale_prob: Probability of scaling.
        rotate_factor: Greatest angle in degrees.
        rotate_prob: Probability of turning.
    """

    def __init__(
        self,
        shift_factor: float = 0.16,
        shift_prob: float = 0.3,
        scale_factor: Sequence[float] = (0.5, 1.5),
        scale_prob: float = 1.0,
        rotate_factor: float = 80.0,
        rotate_prob: float = 0.6,
    ) -> None:
        self.shift_factor = shift_factor
        self.shift_prob = shift_prob
        self.scale_factor = scale_factor[0], scale_factor[1]
        self.scale_prob = scale_prob
        self.rotate_factor = rotate_factor
        self.rotate_prob = rotate_prob

    def draw(self, rng: np.random.Generator) -> Drawn:
        """``shift`` in x and y, ``stretch`` and ``turn``, each -1 ... 1, or None for what is left alone."""
        x, y, stretch, turn = cut_normal(rng, 4)
        shifts, scales, turns = rng.random(3) < (self.shift_prob, self.scale_prob, self.rotate_prob)
        return {
            'shift': np.array([x, y]) if shifts else None,
            'stretch': stretch if scales else None,
            'turn': turn if turns else None,
        }

    def apply(
        self,
        center: Array,
        scale: Array,
        shift: Array | None = None,
        stretch: float | None = None,
        turn: float | None = None,
    ) -> tuple[Array, Array, float]:
        """New centre, scale and rotation."""
        if shift is not None:
            center = (center + np.asarray(shift) * self.shift_factor * scale * PIXEL_STD).astype(np.float32)
        if stretch is not None:
            least, most = self.scale_factor
            scale = scale * np.float32((most + least) / 2 + stretch * (most - least) / 2)
        return center, scale, 0.0 if turn is None else turn * self.rotate_factor

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw and set."""
        center, scale, rotation = self.apply(results['center'], results['scale'], **self.draw(rng))
        results.update(center=center, scale=scale, rotation=rotation)
        return results


def cut_normal(rng: np.random.Generator, count: int) -> list[float]:
    """Numbers of the standard normal distribution between -1 and 1; others are drawn again."""
    kept: list[float] = []
    while len(kept) < count:
        kept += [each for each in rng.standard_normal(2 * count).tolist() if abs(each) <= 1]
    return kept[:count]
