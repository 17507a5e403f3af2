"""Test-time augmentation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Compose, Results, Transform
from intarsia.tasks.segmentation.transforms.resize import as_scales

OWN_CHOICES = {'RandomFlip': ('prob', 'flip_ratio'), 'Resize': ('img_scale', 'ratio_range', 'scale_factor')}
"""Arguments that make a step choose by itself."""


@TRANSFORMS.register_module()
class MultiScaleFlipAug(Transform):
    """Make several views of an image: every scale, as it is and mirrored.

    Each view goes through ``transforms``, whose ``Resize`` and ``RandomFlip`` do what the view says. The results of all
    views are joined: every value becomes a list with one entry a view.

    Args:
        transforms: Config nodes of the steps.
        img_scale: ``(width, height)``, or several of them; None is the size of the image, times ``img_ratios``.
        img_ratios: Factors of the scale, fractions of pixels cut off.
        scale_factors: Factors of the size of the image, rounded half up; instead of scales and ratios.
        flip: Add mirrored views.
        flip_direction: ``'horizontal'``, ``'vertical'`` or ``'diagonal'``, or several of them. As in the published
            results, the unmirrored view is then there as often as the mirrored ones.
    """

    def __init__(
        self,
        transforms: Sequence[Any],
        img_scale: Sequence[Any] | None = None,
        img_ratios: float | Sequence[float] | None = None,
        flip: bool = False,
        flip_direction: str | Sequence[str] = 'horizontal',
        scale_factors: Sequence[float] | None = None,
    ) -> None:
        ratios = [img_ratios] if isinstance(img_ratios, (int, float)) else img_ratios
        scales = as_scales(img_scale)
        if bool(scales or ratios) == bool(scale_factors):
            raise ValueError('MultiScaleFlipAug needs img_scale, img_ratios or both, or scale_factors')
        if len(scales) > 1 and ratios:
            raise ValueError(f'MultiScaleFlipAug: img_ratios belong to one img_scale, not to {len(scales)}')
        self.img_scale = [_times(scales[0], ratio) for ratio in ratios] if scales and ratios else scales
        self.scale_factors = scale_factors
        self.img_ratios = ratios
        self.flip = flip
        self.flip_direction = [flip_direction] if isinstance(flip_direction, str) else list(flip_direction)
        self.transforms = Compose([_obedient(node) for node in transforms], 'segmentation')

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """All views.

        Raises:
            DataError: A step dropped a view.
        """
        flips = (False, True) if self.flip else (False,)
        views = []
        for scale, flip, direction in itertools.product(self._scales(results), flips, self.flip_direction):
            view = self.transforms({**results, 'scale': scale, 'flip': flip, 'flip_direction': direction}, rng)
            if view is None:
                raise DataError('a step of MultiScaleFlipAug dropped the sample')
            views.append(view)
        return {key: [view[key] for view in views] for key in views[0]}

    def _scales(self, results: Results) -> Sequence[Any]:
        height, width = results['img'].shape[:2]
        own = self.scale_factors or self.img_scale
        return own or [_times((width, height), ratio) for ratio in self.img_ratios or ()]


def _times(scale: tuple[float, float], ratio: float) -> tuple[int, int]:
    return int(scale[0] * ratio), int(scale[1] * ratio)


def _obedient(node: Any) -> Any:
    """The node, without arguments of its own where the view says what to do."""
    if not isinstance(node, Mapping):
        return node
    return {key: value for key, value in node.items() if key not in OWN_CHOICES.get(node.get('type', ''), ())}
