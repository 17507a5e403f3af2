"""Random flip of segmentation pipelines."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import FLIP_CODES, flip
from intarsia.data.transforms.image_transform import Array, Drawn, require_choice, require_probability
from intarsia.data.transforms.transform import Results
from intarsia.tasks.segmentation.transforms.joint_transform import JointTransform


@TRANSFORMS.register_module()
class RandomFlip(JointTransform):
    """Mirror an image and its masks with a probability.

    Sets ``flip`` (whether they were) and ``flip_direction``.

    Args:
        prob: Probability of doing so; without it, what ``results['flip']`` and ``results['flip_direction']`` say is
            done (``MultiScaleFlipAug`` sets them), and nothing if they are not there.
        direction: ``'horizontal'``, ``'vertical'``, or ``'diagonal'`` for both.
        flip_ratio: An older name of ``prob``.
    """

    def __init__(
        self,
        prob: float | None = None,
        direction: Literal['horizontal', 'vertical', 'diagonal'] = 'horizontal',
        flip_ratio: float | None = None,
    ) -> None:
        prob = flip_ratio if prob is None else prob
        self.prob = None if prob is None else require_probability('prob', prob)
        self.direction: Any = require_choice('direction', direction, FLIP_CODES)

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'direction': ...}``, or None."""
        return {'direction': self.direction} if self.prob is not None and rng.random() < self.prob else None

    def draw_for(self, results: Results, rng: np.random.Generator) -> Drawn | None:
        """A draw, or what the sample says."""
        if self.prob is not None:
            return self.draw(rng, results['img'])
        return {'direction': results.get('flip_direction', self.direction)} if results.get('flip') else None

    def apply(self, img: Array, direction: Any) -> Array:
        """The mirrored image."""
        return flip(img, direction)

    def apply_to_mask(self, mask: Array, direction: Any) -> Array:
        """The mirrored mask."""
        return flip(mask, direction)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw, flip, and note what was done."""
        drawn = self.draw_for(results, rng)
        if drawn is not None:
            self.change(results, drawn)
        if self.prob is not None or 'flip_direction' not in results:
            results['flip_direction'] = self.direction
        results['flip'] = drawn is not None
        return results
