"""Masks: from files to labels."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.image import BACKENDS, read_image
from intarsia.data.transforms.image_transform import Array, require_choice
from intarsia.data.transforms.loading import require_disk
from intarsia.data.transforms.transform import Results, Transform

IGNORED = 255
"""Label of pixels that count for nothing, in masks that are reduced, mapped or decoded from colours."""


@TRANSFORMS.register_module()
class LoadAnnotations(Transform):
    """Read the mask of a sample: ``gt_semantic_seg``, uint8 ``(H, W)``, whose name is added to ``seg_fields``.

    The sample names it by ``seg_prefix`` (a folder, or None) and ``ann_info['seg_map']``, or by ``seg_map_path``. Its
    ``label_map`` replaces labels, its ``mask_colors`` (R, G, B by label) says that the mask is colour-coded.

    Args:
        reduce_zero_label: Label 0 is ignored, all others move down by one; None does what the data set says.
        file_client_args: ``dict(backend='disk')`` or None; files are read from disk.
        imdecode_backend: Which library decodes. ``'pillow'`` gives the indices of palette images, ``'cv2'`` their
            colours.
    """

    def __init__(
        self,
        reduce_zero_label: bool | None = None,
        file_client_args: Mapping[str, Any] | None = None,
        imdecode_backend: Literal['cv2', 'pillow', 'tifffile'] = 'pillow',
    ) -> None:
        self.reduce_zero_label = reduce_zero_label
        self.imdecode_backend: Any = require_choice('imdecode_backend', imdecode_backend, BACKENDS)
        require_disk(file_client_args)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Read; nothing is drawn.

        Raises:
            DataError: The file cannot be read, or holds no labels; the message names it.
        """
        results['gt_semantic_seg'] = self.labels_of(results, self.read(results))
        results['seg_fields'] = [*(results.get('seg_fields') or ()), 'gt_semantic_seg']
        return results

    def read(self, results: Results) -> Array:
        """The mask as its file has it: uint8 ``(H, W)``.

        Raises:
            DataError: The file cannot be read, or holds no labels.
        """
        path = mask_path(results)
        stored = read_image(path, 'unchanged', backend=self.imdecode_backend)
        if stored.ndim == 3 and 1 in stored.shape:
            stored = stored.squeeze()
        colors = results.get('mask_colors')
        if stored.ndim == 3 and colors is not None:
            return labels_of_colors(stored, colors)
        if stored.ndim != 2:
            raise DataError(f'mask {path} {explain_channels(stored)}')
        return _narrow(stored, path)

    def labels_of(self, results: Results, stored: Array) -> Array:
        """The labels that training sees of what :meth:`read` gave."""
        reduce = results.get('reduce_zero_label', False) if self.reduce_zero_label is None else self.reduce_zero_label
        table = label_table(results.get('label_map'), bool(reduce))
        return stored if table is None else cv2.LUT(stored, table)


def mask_path(results: Mapping[str, Any]) -> str:
    """Where the mask of a sample lies.

    Raises:
        DataError: The sample has none.
    """
    annotation = results.get('ann_info')
    if annotation is not None:
        return os.path.join(results.get('seg_prefix') or '', annotation['seg_map'])
    if results.get('seg_map_path') is not None:
        return results['seg_map_path']
    raise DataError('LoadAnnotations: the sample has no mask; does the data set have an ann_dir?')


def label_table(label_map: Mapping[int, int] | None, reduce_zero_label: bool) -> Array | None:
    """What becomes of the 256 labels, uint8 ``(256,)``; None if they stay.

    Args:
        label_map: New labels by old; -1 is ignored.
        reduce_zero_label: Afterwards, ignore 0 and move the others down by one.
    """
    if not label_map and not reduce_zero_label:
        return None
    table = np.arange(256)
    for old, new in (label_map or {}).items():
        table[old] = new
    table &= 255
    if reduce_zero_label:
        table = np.where((table == 0) | (table == IGNORED), IGNORED, table - 1)
    return table.astype(np.uint8)


def labels_of_colors(mask_bgr: Array, colors: Sequence[Sequence[int]]) -> Array:
    """Labels of a colour-coded mask; colours that are none of a class are ignored.

    Args:
        mask_bgr: uint8 ``(H, W, 3)``, or 4 channels, of which the last is left out.
        colors: R, G, B of every label.

    Returns:
        uint8 ``(H, W)``.
    """
    return _table_of_colors(tuple(tuple(map(int, color)) for color in colors))[color_codes(mask_bgr)]


def color_codes(mask_bgr: Array) -> Array:
    """One number a colour: R * 65536 + G * 256 + B, uint32 ``(H, W)``."""
    conversion = cv2.COLOR_BGR2BGRA if mask_bgr.shape[2] == 3 else None
    four = mask_bgr.copy() if conversion is None else cv2.cvtColor(mask_bgr, conversion)
    four[..., 3] = 0
    return four.view('<u4')[..., 0]


@functools.lru_cache(maxsize=4)
def _table_of_colors(colors: tuple[tuple[int, ...], ...]) -> Array:
    """The label of each of the 2**24 colours: 16 MB, and one look-up a pixel."""
    table = np.full(1 << 24, IGNORED, np.uint8)
    for label, (red, green, blue) in reversed(list(enumerate(colors))):
        table[red << 16 | green << 8 | blue] = label
    return table


def explain_channels(mask: Array) -> str:
    """What is probably meant by a mask that has channels."""
    if mask.ndim != 3 or mask.dtype != np.uint8 or mask.shape[2] not in (3, 4):
        return f'has the shape {mask.shape}; a mask is one label a pixel.'
    channels = mask.shape[2]
    if (mask[..., :1] == mask[..., :3]).all():
        return f'has {channels} channels, which are equal: save one of them.'
    num_colors = len(np.unique(color_codes(mask)))
    if num_colors <= 256:
        return (
            f'has {channels} channels and {num_colors} colours: it seems to be colour-coded. Set color_coded=True and '
            'palette (R, G, B of every class) in the data set, or convert it to one label a pixel.'
        )
    return (
        f'has {channels} channels and {num_colors} colours: it looks like a picture, or like a colour-coded mask that '
        'was saved as JPEG or resized smoothly. Save masks without loss (PNG), one label a pixel.'
    )


def _narrow(stored: Array, path: str) -> Array:
    if stored.dtype == np.uint8:
        return stored
    if stored.dtype == bool:
        return stored.astype(np.uint8)
    low, high = stored.min(), stored.max()
    if low < 0 or high > IGNORED:
        raise DataError(f'mask {path} ({stored.dtype}) has labels from {low} to {high}; they must lie within 0 ... 255')
    return stored.astype(np.uint8)
