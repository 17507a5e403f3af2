"""The first step of pose pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.color import swap_red_blue
from intarsia.data.io.image import COLOR_TYPES, ColorType, read_image
from intarsia.data.transforms.image_transform import require_choice
from intarsia.data.transforms.loading import require_disk
from intarsia.data.transforms.transform import Results, Transform


@TRANSFORMS.register_module()
class LoadImageFromFile(Transform):
    """Read the image that ``image_file`` names into ``img``, ``(H, W, 3)`` uint8, **RGB** as everywhere in pose.

    An ``img`` that the sample has already, a BGR array, is taken instead.

    Args:
        to_float32: Convert the image to float32.
        color_type: What the image becomes; see :func:`intarsia.data.io.image.read_image`.
        channel_order: Of the result.
        file_client_args: ``dict(backend='disk')`` or None; files are read from disk.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: Literal[
            'color', 'grayscale', 'unchanged', 'color_ignore_orientation', 'grayscale_ignore_orientation'
        ] = 'color',
        channel_order: Literal['rgb', 'bgr'] = 'rgb',
        file_client_args: Mapping[str, Any] | None = None,
    ) -> None:
        self.to_float32 = to_float32
        self.color_type: ColorType = require_choice('color_type', color_type, COLOR_TYPES)
        self.channel_order: Any = require_choice('channel_order', channel_order, ('rgb', 'bgr'))
        require_disk(file_client_args)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Read; nothing is drawn.

        Raises:
            DataError: The file is missing or broken, or the sample names none.
        """
        if 'img' in results:
            img = swap_red_blue(results['img']) if self.channel_order == 'rgb' else results['img']
        elif results.get('image_file'):
            img = read_image(results['image_file'], self.color_type, self.channel_order)
        else:
            raise DataError(f'a sample has neither image_file nor img, but only {", ".join(results)}')
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        return results
