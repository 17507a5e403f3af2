"""Resizes of clips. Scales are ``(width, height)``, as the configs of the field write them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import Size, interpolation_code, rescale_size, resize
from intarsia.data.transforms.image_transform import Drawn
from intarsia.data.transforms.transform import Results
from intarsia.tasks.action.transforms.clip_transform import ClipTransform, change_boxes

Interpolation = Literal['nearest', 'bilinear', 'bicubic', 'area', 'lanczos']
Scale = float | Sequence[float]


@TRANSFORMS.register_module()
class Resize(ClipTransform):
    """Resize frames, and move key points and boxes with them.

    Sets ``img_shape``, ``keep_ratio``, and multiplies ``scale_factor`` (``(w, h)``, float32) by the ratios of new to
    old sizes.

    Args:
        scale: ``(width, height)``; with ``keep_ratio`` frames become as large as fits into it, turned if need be. A
            side of -1 has no limit: ``(-1, 256)`` makes the shorter side 256. A number is a factor for both sides.
        keep_ratio: Whether the aspect ratio stays; otherwise frames get exactly the scale.
        interpolation: One of ``'nearest'``, ``'bilinear'``, ``'bicubic'``, ``'area'``, ``'lanczos'``.
        lazy: See :class:`~intarsia.tasks.action.transforms.clip_transform.ClipTransform`.
    """

    def __init__(
        self, scale: Scale, keep_ratio: bool = True, interpolation: Interpolation = 'bilinear', lazy: bool = False
    ) -> None:
        super().__init__(lazy)
        self.scale = _limits(scale)
        self.keep_ratio = keep_ratio
        if not keep_ratio and (isinstance(self.scale, float) or math.inf in self.scale):
            raise ValueError(f'Resize(keep_ratio=False) needs scale=(width, height), both positive, not {scale}')
        interpolation_code(interpolation)
        self.interpolation = interpolation

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """``{'scale': ...}``, which is given."""
        return {'scale': self.scale}

    def target_size(self, size: Size, scale: Scale) -> Size:
        """``(height, width)`` that frames of a ``size`` get."""
        if self.keep_ratio or isinstance(scale, (int, float)):
            return rescale_size(size, scale)[0]
        return int(scale[1]), int(scale[0])

    def change(self, results: Results, scale: Any) -> Results:
        """Resize to a scale."""
        rows, columns = results['img_shape'][:2]
        height, width = self.target_size((rows, columns), scale)
        factor = np.array([width / columns, height / rows], np.float32)
        results['img_shape'] = height, width
        results['keep_ratio'] = self.keep_ratio
        results['scale_factor'] = results.get('scale_factor', np.ones(2, np.float32)) * factor
        if self.lazy:
            results['lazy'] = replace(self.pending(results), interpolation=self.interpolation)
            return results
        if 'imgs' in results:
            results['imgs'] = [resize(img, (height, width), self.interpolation) for img in results['imgs']]
        if 'keypoint' in results:
            results['keypoint'] = results['keypoint'] * factor
        change_boxes(results, lambda boxes: boxes * np.tile(factor, 2))
        return results


@TRANSFORMS.register_module()
class RandomRescale(Resize):
    """Resize frames so that their shorter side gets a random length, which is noted as ``short_edge``.

    Args:
        scale_range: Shortest and longest length, both included.
        interpolation: As of ``Resize``.
    """

    def __init__(self, scale_range: Sequence[int], interpolation: Interpolation = 'bilinear') -> None:
        least, most = scale_range
        if not 0 < least < most:
            raise ValueError(f'RandomRescale needs scale_range=(least, most), 0 < least < most, not {scale_range}')
        super().__init__((-1, most), interpolation=interpolation)
        self.scale_range = least, most

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """``{'scale': (infinity, length)}``."""
        least, most = self.scale_range
        return {'scale': (math.inf, int(rng.integers(least, most + 1)))}

    def change(self, results: Results, scale: Any) -> Results:
        """Resize to a scale."""
        results['short_edge'] = min(scale)
        return super().change(results, scale)


def _limits(scale: Scale) -> float | tuple[float, float]:
    """A factor, or two numbers, -1 being replaced by infinity."""
    sides = (scale, scale) if isinstance(scale, (int, float)) else tuple(math.inf if s == -1 else s for s in scale)
    if len(sides) != 2 or min(sides) <= 0 or min(sides) == math.inf:
        raise ValueError(f'Resize needs scale=(width, height), one of them may be -1, or a factor, not {scale}')
    return float(sides[0]) if isinstance(scale, (int, float)) else (sides[0], sides[1])
