"""Resizes of segmentation pipelines. Scales are ``(width, height)``, as the configs of the field write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import Size, rescale_size, resize, resize_to_multiple, scale_size
from intarsia.data.transforms.image_transform import Array, Drawn, require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.segmentation.transforms.joint_transform import JointTransform

Scale = Sequence[float]
"""``(width, height)`` in pixels."""


def as_scales(img_scale: Any) -> list[tuple[float, float]]:
    """One scale or several as a list of pairs; None as an empty list.

    Raises:
        ValueError: A scale is no pair of positive numbers.
    """
    if img_scale is None:
        return []
    scales = [img_scale] if isinstance(img_scale[0], (int, float)) else img_scale
    for scale in scales:
        if len(scale) != 2 or min(scale) <= 0:
            raise ValueError(f'a scale is (width, height), both positive, not {scale}')
    return [(scale[0], scale[1]) for scale in scales]


@TRANSFORMS.register_module()
class Resize(JointTransform):
    """Resize an image (bilinear) and its masks (nearest) to a scale that is given or drawn.

    Without any of ``img_scale``, ``ratio_range`` and ``scale_factor`` the scale is what ``results['scale']`` says
    (``MultiScaleFlipAug`` sets it). Sets ``scale``, ``keep_ratio``, and ``scale_factor``, float32: the ratios of new to
    old sizes, ``(w, h, w, h)``.

    Args:
        img_scale: ``(width, height)``, or several of them.
        multiscale_mode: Of several scales, ``'value'`` takes one of them; ``'range'`` draws the longer and the shorter
            side evenly between those of the first and the second.
        ratio_range: Factors ``(least, greatest)``; the scale, or without one the size of the image, is multiplied with
            one in between, fractions cut off.
        keep_ratio: Make the image as large as fits into the scale (turned if need be); otherwise exactly the scale.
        min_size: With ``keep_ratio``: the shorter side gets the shorter side of the scale, and at least so much,
            whatever becomes of the longer one.
        scale_factor: The scale is the size of the image times this, rounded half up.
    """

    def __init__(
        self,
        img_scale: Sequence[Any] | None = None,
        multiscale_mode: Literal['range', 'value'] = 'range',
        ratio_range: Sequence[float] | None = None,
        keep_ratio: bool = True,
        min_size: int | None = None,
        scale_factor: float | None = None,
    ) -> None:
        self.img_scale = as_scales(img_scale)
        self.multiscale_mode = require_choice('multiscale_mode', multiscale_mode, ('range', 'value'))
        self.ratio_range = None if ratio_range is None else (float(ratio_range[0]), float(ratio_range[1]))
        self.keep_ratio = keep_ratio
        self.min_size = min_size
        self.scale_factor = scale_factor
        if self.ratio_range and (len(self.img_scale) > 1 or self.ratio_range[0] > self.ratio_range[1]):
            raise ValueError(f'Resize needs one img_scale for ratio_range (least, greatest), not {img_scale}')
        if len(self.img_scale) > 2 and self.multiscale_mode == 'range':
            raise ValueError(f"Resize draws between two scales; of {len(self.img_scale)} take one by 'value'")

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'scale': (width, height)}``, or a factor."""
        height, width = img.shape[:2]
        if self.scale_factor is not None:
            return {'scale': self.scale_factor}
        if self.ratio_range is not None:
            across, down = self.img_scale[0] if self.img_scale else (width, height)
            ratio = rng.uniform(*self.ratio_range)
            return {'scale': (int(across * ratio), int(down * ratio))}
        if len(self.img_scale) == 1:
            return {'scale': self.img_scale[0]}
        if self.multiscale_mode == 'value':
            return {'scale': self.img_scale[rng.integers(len(self.img_scale))]}
        sides = [sorted(int(side(scale)) for scale in self.img_scale) for side in (max, min)]
        return {'scale': tuple(int(rng.integers(least, most + 1)) for least, most in sides)}

    def draw_for(self, results: Results, rng: np.random.Generator) -> Drawn | None:
        """A draw, or what the sample says."""
        height, width = results['img'].shape[:2]
        if self.img_scale or self.ratio_range is not None or self.scale_factor is not None:
            drawn = self.draw(rng, results['img']) or {}
        elif 'scale' in results:
            drawn = {'scale': results['scale']}
        else:
            raise ValueError('Resize needs img_scale, ratio_range or scale_factor, unless MultiScaleFlipAug says it')
        if isinstance(drawn['scale'], (int, float)):
            return {'scale': scale_size((width, height), drawn['scale'])}
        if self.keep_ratio and self.min_size is not None:
            shorter = max(min(drawn['scale']), self.min_size)
            longer = shorter * max(height, width) / min(height, width)
            return {'scale': (longer, shorter) if height > width else (shorter, longer)}
        return drawn

    def apply(self, img: Array, scale: Scale) -> Array:
        """The image, resized; itself if it has the size."""
        return resize(img, self.target_size((img.shape[0], img.shape[1]), scale))

    def apply_to_mask(self, mask: Array, scale: Scale) -> Array:
        """The mask, resized."""
        return resize(mask, self.target_size((mask.shape[0], mask.shape[1]), scale), 'nearest')

    def target_size(self, size: Size, scale: Scale) -> Size:
        """``(height, width)`` of the result for an image of that ``size``."""
        return rescale_size(size, scale)[0] if self.keep_ratio else (int(scale[1]), int(scale[0]))

    def change(self, results: Results, drawn: Drawn) -> Results:
        """Resize, and note by how much."""
        before = results['img'].shape
        super().change(results, drawn)
        after = results['img'].shape
        ratios = after[1] / before[1], after[0] / before[0]
        scale_factor = np.array(ratios * 2, np.float32)
        results.update(scale=drawn['scale'], keep_ratio=self.keep_ratio, scale_factor=scale_factor)
        return results


@TRANSFORMS.register_module()
class ResizeToMultiple(JointTransform):
    """Enlarge an image and its masks to the next size that a number divides.

    Args:
        size_divisor: That number, for both sides, or for ``(width, height)``.
        interpolation: Of the image; None is ``'bilinear'``.
    """

    def __init__(self, size_divisor: int | Sequence[int] = 32, interpolation: str | None = None) -> None:
        self.size_divisor = size_divisor
        self.interpolation = interpolation or 'bilinear'
        self._divisor: Any = size_divisor if isinstance(size_divisor, int) else tuple(size_divisor)[::-1]

    def apply(self, img: Array) -> Array:
        """The image, resized."""
        return resize_to_multiple(img, self._divisor, interpolation=self.interpolation)

    def apply_to_mask(self, mask: Array) -> Array:
        """The mask, resized."""
        return resize_to_multiple(mask, self._divisor, interpolation='nearest')


@TRANSFORMS.register_module()
class SegRescale(Transform):
    """Resize the masks alone, for models whose output is smaller than their input.

    Args:
        scale_factor: By how much; sizes are rounded half up.
    """

    def __init__(self, scale_factor: float = 1) -> None:
        self.scale_factor = scale_factor

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Resize the masks; nothing is drawn."""
        for field in results.get('seg_fields') or ():
            height, width = results[field].shape[:2]
            size, _ = rescale_size((height, width), self.scale_factor)
            results[field] = resize(results[field], size, 'nearest')
        return results
