"""Padding of classification pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import PADDING_MODES, pad
from intarsia.data.transforms.image_transform import Array, ImageTransform, require_choice


@TRANSFORMS.register_module()
class Pad(ImageTransform):
    """Pad an image at the right and at the bottom.

    Args:
        size: ``(height, width)`` to reach; sides that are longer stay as they are.
        pad_to_square: Reach the longer side in both directions instead.
        pad_val: Of constant borders, by channel; one number fills the first channel only and leaves the others 0.
        padding_mode: ``'constant'``, ``'edge'``, ``'reflect'`` or ``'symmetric'``.
    """

    def __init__(
        self,
        size: Sequence[int] | None = None,
        pad_to_square: bool = False,
        pad_val: float | Sequence[float] = 0,
        padding_mode: Literal['constant', 'edge', 'reflect', 'symmetric'] = 'constant',
    ) -> None:
        if (size is None) != pad_to_square:
            raise ValueError(f'Pad needs either size or pad_to_square, not size={size}, pad_to_square={pad_to_square}')
        self.size = size
        self.pad_to_square = pad_to_square
        self.pad_val = pad_val
        self.padding_mode = require_choice('padding_mode', padding_mode, PADDING_MODES)

    def apply(self, img: Array) -> Array:
        """The padded image; itself if nothing is missing."""
        rows, columns = img.shape[:2]
        height, width = self.size if self.size is not None else (max(rows, columns),) * 2
        return pad(img, (0, 0, max(0, width - columns), max(0, height - rows)), self.pad_val, self.padding_mode)
