"""Mosaics of four samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import resize
from intarsia.data.transforms.image_transform import Array, Drawn, require_probability
from intarsia.data.transforms.transform import Results, Transform


@TRANSFORMS.register_module()
class RandomMosaic(Transform):
    """Put four images, and their masks, around a point: each is resized to fit and cut off at the frame.

    ``results['mix_results']`` holds the three others; ``MultiImageMixDataset`` fetches them. From "YOLOv4: Optimal
    Speed and Accuracy of Object Detection", Bochkovskiy, Wang, Liao, 2020, arXiv:2004.10934.

    Args:
        prob: Probability of doing so.
        img_scale: ``(height, width)`` of the quarter that each image must fit in; the result is twice as large.
        center_ratio_range: Where the point lies in each direction: from here to there, in units of ``img_scale``.
        pad_val: Colour of what no image covers.
        seg_pad_val: Its label.
    """

    def __init__(
        self,
        prob: float,
        img_scale: Sequence[int] = (640, 640),
        center_ratio_range: Sequence[float] = (0.5, 1.5),
        pad_val: float = 0,
        seg_pad_val: int = 255,
    ) -> None:
        self.prob = require_probability('prob', prob)
        self.img_scale = int(img_scale[0]), int(img_scale[1])
        self.center_ratio_range = float(center_ratio_range[0]), float(center_ratio_range[1])
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val

    def get_indexes(self, dataset: Any, rng: np.random.Generator) -> list[int]:
        """Three samples to mix with."""
        return rng.integers(len(dataset), size=3).tolist()

    def draw(self, rng: np.random.Generator) -> Drawn | None:
        """``{'center_x_ratio': ..., 'center_y_ratio': ...}``."""
        if rng.random() >= self.prob:
            return None
        x, y = rng.uniform(*self.center_ratio_range, size=2).tolist()
        return {'center_x_ratio': x, 'center_y_ratio': y}

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw, and put together."""
        drawn = self.draw(rng)
        return results if drawn is None else self.change(results, drawn)

    def change(self, results: Results, drawn: Drawn) -> Results:
        """Put the sample and its three partners together around the point that was drawn."""
        others = results.get('mix_results')
        if others is None or len(others) != 3:
            raise DataError('RandomMosaic needs three more samples: put it into the pipeline of a MultiImageMixDataset')
        samples = [results, *others]
        mosaic: Results = {'img': self._around([s['img'] for s in samples], drawn, self.pad_val, 'bilinear')}
        for field in results.get('seg_fields') or ():
            mosaic[field] = self._around([s[field] for s in samples], drawn, self.seg_pad_val, 'nearest')
        shape = mosaic['img'].shape
        results.update(mosaic, img_shape=shape, ori_shape=shape, pad_shape=shape)
        return results

    def _around(self, arrays: Sequence[Array], drawn: Drawn, fill: float, interpolation: str) -> Array:
        """The arrays upper left, upper right, lower left and lower right of the point."""
        height, width = self.img_scale
        x, y = int(drawn['center_x_ratio'] * width), int(drawn['center_y_ratio'] * height)
        mosaic = np.full((2 * height, 2 * width, *arrays[0].shape[2:]), fill, arrays[0].dtype)
        for i, array in enumerate(arrays):
            rows, columns = array.shape[:2]
            factor = min(height / rows, width / columns)
            part = resize(array, (int(rows * factor), int(columns * factor)), interpolation)
            to_rows, from_rows = _span(y, part.shape[0], 2 * height, is_before=i < 2)
            to_columns, from_columns = _span(x, part.shape[1], 2 * width, is_before=i % 2 == 0)
            mosaic[to_rows, to_columns] = part[from_rows, from_columns]
        return mosaic


def _span(center: int, length: int, total: int, is_before: bool) -> tuple[slice, slice]:
    """Along one axis, where a part of some ``length`` goes that ends (or begins) at ``center``, and what of it fits."""
    if is_before:
        start = max(center - length, 0)
        return slice(start, center), slice(length - (center - start), length)
    end = min(center + length, total)
    return slice(center, end), slice(0, end - center)
