"""Random flip of classification pipelines."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import FLIP_CODES, flip
from intarsia.data.transforms.image_transform import (
    Array,
    Drawn,
    ImageTransform,
    require_choice,
    require_probability,
)
from intarsia.data.transforms.transform import Results


@TRANSFORMS.register_module()
class RandomFlip(ImageTransform):
    """Mirror an image with a probability.

    Sets ``flip`` (whether it was) and ``flip_direction``.

    Args:
        flip_prob: Probability of doing so.
        direction: ``'horizontal'``, ``'vertical'``, or ``'diagonal'`` for both.
    """

    def __init__(
        self, flip_prob: float = 0.5, direction: Literal['horizontal', 'vertical', 'diagonal'] = 'horizontal'
    ) -> None:
        self.flip_prob = require_probability('flip_prob', flip_prob)
        self.direction: Any = require_choice('direction', direction, FLIP_CODES)

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """Nothing but whether the image is flipped."""
        return {} if rng.random() < self.flip_prob else None

    def apply(self, img: Array) -> Array:
        """The mirrored image."""
        return flip(img, self.direction)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw, flip, and note what was done."""
        drawn = self.draw(rng, results['img'])
        results['flip'] = drawn is not None
        results['flip_direction'] = self.direction
        if drawn is not None:
            for field in results.get('img_fields') or ('img',):
                results[field] = self.apply(results[field])
        return results
