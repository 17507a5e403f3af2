"""Padding of segmentation pipelines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import Size, pad
from intarsia.data.transforms.image_transform import Array, Drawn
from intarsia.data.transforms.transform import Results
from intarsia.tasks.segmentation.transforms.joint_transform import JointTransform


@TRANSFORMS.register_module()
class Pad(JointTransform):
    """Pad an image and its masks at the right and at the bottom.

    ``pad_shape`` becomes the new shape; ``img_shape`` goes on saying how much of it is image.

    Args:
        size: ``(height, width)`` to reach; sides that are longer stay as they are.
        size_divisor: Reach the next sizes that this divides, instead.
        pad_val: Colour, by channel; one number fills the **first** channel only and leaves the others 0.
        seg_pad_val: Label.
    """

    keeps_img_shape = True
    """Says that what is padded can be told from the sample: it lies outside ``img_shape``."""

    def __init__(
        self,
        size: Sequence[int] | None = None,
        size_divisor: int | None = None,
        pad_val: float | Sequence[float] = 0,
        seg_pad_val: int = 255,
    ) -> None:
        if (size is None) == (size_divisor is None):
            raise ValueError(f'Pad needs either size or size_divisor, not size={size}, size_divisor={size_divisor}')
        self.size = size
        self.size_divisor = size_divisor
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val

    def apply(self, img: Array) -> Array:
        """The padded image; itself if nothing is missing."""
        return self._padded(img, self.pad_val)

    def apply_to_mask(self, mask: Array) -> Array:
        """The padded mask; itself if nothing is missing."""
        return self._padded(mask, self.seg_pad_val)

    def change(self, results: Results, drawn: Drawn) -> Results:
        """Pad; the shape of the image itself stays."""
        shape = results.get('img_shape', results['img'].shape)
        super().change(results, drawn)
        results.update(img_shape=shape, pad_fixed_size=self.size, pad_size_divisor=self.size_divisor)
        return results

    def _padded(self, array: Array, value: float | Sequence[float]) -> Array:
        rows, columns = array.shape[:2]
        height, width = self._target(rows, columns)
        return pad(array, (0, 0, max(0, width - columns), max(0, height - rows)), value)

    def _target(self, rows: int, columns: int) -> Size:
        if self.size is not None:
            return self.size[0], self.size[1]
        divisor = self.size_divisor or 1
        return math.ceil(rows / divisor) * divisor, math.ceil(columns / divisor) * divisor
