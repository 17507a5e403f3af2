"""Crops of clips: all frames of a sample are cut alike. Sizes in configs are ``(width, height)``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import Size, crop
from intarsia.data.transforms.image_transform import Array, Drawn
from intarsia.data.transforms.transform import Results
from intarsia.tasks.action.transforms.clip_transform import ClipTransform, change_boxes

CORNERS = ((0, 0), (4, 0), (0, 4), (4, 4), (2, 2))
"""Places of a crop: quarters of the way, across and down. The corners and the middle."""
BETWEEN = ((0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3))
"""The middles of the sides, and of the quarters of a frame."""


def offset_at(place: tuple[int, int], size: Size, width: int, height: int) -> tuple[int, int]:
    """``(left, top)`` of a crop at a place of :data:`CORNERS` or :data:`BETWEEN` in frames of a ``size``."""
    return place[0] * ((size[1] - width) // 4), place[1] * ((size[0] - height) // 4)


class ClipCrop(ClipTransform):
    """Cuts one box out of frames, and moves key points and boxes with it.

    Sets ``img_shape``, ``crop_bbox`` (``(left, top, right, bottom)``), and ``crop_quadruple``: where the frames are in
    those that were decoded, ``(x, y, w, h)`` float32, as shares of their width and height.
    """

    def change(self, results: Results, left: int, top: int, width: int, height: int) -> Results:
        """Cut.

        Raises:
            DataError: Frames are smaller than the crop.
        """
        rows, columns = results['img_shape'][:2]
        if 'imgs' in results and (left < 0 or top < 0 or left + width > columns or top + height > rows):
            raise DataError(
                f'{type(self).__name__} cuts out {width} x {height} pixels (width x height), but the frames have only '
                f'{columns} x {rows}; does a Resize precede it?'
            )
        box = np.array([left, top, left + width, top + height])
        shares = left / columns, top / rows, width / columns, height / rows
        results['img_shape'] = height, width
        results['crop_bbox'] = box
        results['crop_quadruple'] = _part_of(results.get('crop_quadruple', (0, 0, 1, 1)), shares)
        if self.lazy:
            results['lazy'] = self.pending(results).cropped(left, top, width, height, (rows, columns))
            return results
        if 'imgs' in results:
            results['imgs'] = [crop(img, top, left, height, width) for img in results['imgs']]
        if 'keypoint' in results:
            results['keypoint'] = results['keypoint'] - box[:2]
        change_boxes(results, lambda boxes: _cut_boxes(boxes, left, top, width, height))
        return results


def _part_of(outer: Sequence[float], inner: Sequence[float]) -> Array:
    """``(x, y, w, h)`` of a part, given as shares of an outer box."""
    x, y, width, height = outer
    return np.array([x + inner[0] * width, y + inner[1] * height, inner[2] * width, inner[3] * height], np.float32)


def _cut_boxes(boxes: Array, left: int, top: int, width: int, height: int) -> Array:
    """Boxes ``(B, 4)`` in the crop; what lies outside ends at its last pixels."""
    cut = boxes.copy()
    cut[..., 0::2] = np.clip(boxes[..., 0::2] - left, 0, width - 1)
    cut[..., 1::2] = np.clip(boxes[..., 1::2] - top, 0, height - 1)
    return cut


def pair(what: str, size: int | Sequence[int]) -> tuple[int, int]:
    """``(width, height)``; one number is both.

    Raises:
        ValueError: Not one or two positive numbers.
    """
    sides: Any = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) <= 0:
        raise ValueError(f'{what} is a positive number, or (width, height), not {size}')
    return sides[0], sides[1]


@TRANSFORMS.register_module()
class CenterCrop(ClipCrop):
    """Cut out the middle of frames.

    Args:
        crop_size: ``(width, height)``, or one number for both.
        lazy: See :class:`~intarsia.tasks.action.transforms.clip_transform.ClipTransform`.
    """

    def __init__(self, crop_size: int | Sequence[int], lazy: bool = False) -> None:
        super().__init__(lazy)
        self.crop_size = pair('crop_size', crop_size)

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """The box in the middle."""
        width, height = self.crop_size
        return {'left': (size[1] - width) // 2, 'top': (size[0] - height) // 2, 'width': width, 'height': height}


@TRANSFORMS.register_module()
class RandomCrop(ClipCrop):
    """Cut a square out of frames, at a random place.

    Args:
        size: Its side.
        lazy: See :class:`~intarsia.tasks.action.transforms.clip_transform.ClipTransform`.
    """

    def __init__(self, size: int, lazy: bool = False) -> None:
        super().__init__(lazy)
        if not isinstance(size, int) or size <= 0:
            raise ValueError(f'RandomCrop cuts out a square: size is one positive number, not {size}')
        self.size = size

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """A box; the last possible place is left out, as it was in the published trainings."""
        top, left = (int(rng.integers(side - self.size)) if side > self.size else 0 for side in size)
        return {'left': left, 'top': top, 'width': self.size, 'height': self.size}


@TRANSFORMS.register_module()
class RandomResizedCrop(ClipCrop):
    """Cut out a part of random size and shape; a ``Resize`` that follows brings it to a fixed size.

    From "Going Deeper with Convolutions", Szegedy et al., 2014, arXiv:1409.4842.

    Args:
        area_range: Range of the part's share of the frame's area.
        aspect_ratio_range: Range of its width / height, drawn evenly on a logarithmic scale.
        lazy: See :class:`~intarsia.tasks.action.transforms.clip_transform.ClipTransform`.
    """

    ATTEMPTS = 10
    """Draws until a part lies within the frame; then the greatest square in the middle is taken."""

    def __init__(
        self,
        area_range: Sequence[float] = (0.08, 1.0),
        aspect_ratio_range: Sequence[float] = (3 / 4, 4 / 3),
        lazy: bool = False,
    ) -> None:
        super().__init__(lazy)
        if not 0 < area_range[0] <= area_range[1] <= 1:
            raise ValueError(f'RandomResizedCrop needs area_range=(least, greatest) within 0 to 1, not {area_range}')
        if not 0 < aspect_ratio_range[0] <= aspect_ratio_range[1]:
            raise ValueError(f'RandomResizedCrop needs aspect_ratio_range=(least, greatest), not {aspect_ratio_range}')
        self.area_range = area_range[0], area_range[1]
        self.aspect_ratio_range = aspect_ratio_range[0], aspect_ratio_range[1]

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """A box."""
        rows, columns = size
        least, greatest = (math.log(ratio) for ratio in self.aspect_ratio_range)
        for _ in range(self.ATTEMPTS):
            aspect = math.exp(rng.uniform(least, greatest))
            area = rng.uniform(*self.area_range) * rows * columns
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < width <= columns and 0 < height <= rows:
                left, top = int(rng.integers(columns - width + 1)), int(rng.integers(rows - height + 1))
                return {'left': left, 'top': top, 'width': width, 'height': height}
        side = min(size)
        return {'left': (columns - side) // 2, 'top': (rows - side) // 2, 'width': side, 'height': side}


@TRANSFORMS.register_module()
class MultiScaleCrop(ClipCrop):
    """Cut out a part whose sides are random shares of the frame's shorter side.

    From "Temporal Segment Networks" (Wang et al., 2016, arXiv:1608.00859). Sets ``scales`` too.

    Args:
        input_size: ``(width, height)`` of the network's input, or one number for both: sides that differ from it by
            less than three pixels become it.
        scales: The shares.
        max_wh_scale_gap: How far the shares of width and height may be apart, in places of ``scales``.
        random_crop: Cut at any place; otherwise at one of ``num_fixed_crops``.
        num_fixed_crops: 5 for the corners and the middle, or 13 for eight more between them.
        lazy: See :class:`~intarsia.tasks.action.transforms.clip_transform.ClipTransform`.
    """

    def __init__(
        self,
        input_size: int | Sequence[int],
        scales: Sequence[float] = (1,),
        max_wh_scale_gap: int = 1,
        random_crop: bool = False,
        num_fixed_crops: int = 5,
        lazy: bool = False,
    ) -> None:
        super().__init__(lazy)
        self.input_size = pair('input_size', input_size)
        if num_fixed_crops not in (5, 13):
            raise ValueError(f'MultiScaleCrop has num_fixed_crops=5 or 13, not {num_fixed_crops}')
        if not scales or not 0 < min(scales) <= max(scales) <= 1:
            raise ValueError(f'MultiScaleCrop needs scales greater than 0, at most 1, not {scales}')
        self.scales = scales
        self.max_wh_scale_gap = max_wh_scale_gap
        self.random_crop = random_crop
        self.num_fixed_crops = num_fixed_crops

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """A box: first its sides, each allowed pair being equally likely, then its place."""
        sides = [int(min(size) * scale) for scale in self.scales]
        pairs = [
            (width, height)
            for i, height in enumerate(sides)
            for j, width in enumerate(sides)
            if abs(i - j) <= self.max_wh_scale_gap
        ]
        width, height = self.snapped(*pairs[rng.integers(len(pairs))], size)
        if self.random_crop:
            left, top = int(rng.integers(size[1] - width + 1)), int(rng.integers(size[0] - height + 1))
        else:
            places = (CORNERS + BETWEEN)[: self.num_fixed_crops]
            left, top = offset_at(places[rng.integers(len(places))], size, width, height)
        return {'left': left, 'top': top, 'width': width, 'height': height}

    def snapped(self, width: int, height: int, size: Size) -> tuple[int, int]:
        """Sides of a box, those of the input where they nearly agree and frames of a ``size`` are large enough."""
        sides = zip((width, height), self.input_size, size[::-1], strict=True)
        width, height = (goal if abs(side - goal) < 3 and goal <= limit else side for side, goal, limit in sides)
        return width, height

    def change(self, results: Results, left: int, top: int, width: int, height: int) -> Results:
        """Cut."""
        results['scales'] = self.scales
        return super().change(results, left, top, width, height)
