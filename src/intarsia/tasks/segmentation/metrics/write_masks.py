"""Predicted masks as files, in the form that the servers of test sets want.

Shapes: h rows, w columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def write_masks(
    results: Iterable[Any],
    folder: str | Path,
    filenames: Sequence[str],
    *,
    label_ids: Sequence[int] | None = None,
    palette: Sequence[Sequence[int]] | None = None,
) -> list[Path]:
    """Write each mask as a PNG file of one channel.

    Args:
        results: :class:`~intarsia.tasks.segmentation.results.SegmentationResult` of each image.
        folder: Where to; it is made.
        filenames: Of the images: ``a/b.jpg`` becomes ``folder/b.png``.
        label_ids: What stands in the file for each class (Cityscapes' own ids; for ADE20K ``range(1, 151)``), 0 ...
            65535, of which files with values above 255 have 16 bits. None writes the class itself.
        palette: RGB of each value in the file, with which it can be looked at; at most 256 values.

    Returns:
        The files.

    Raises:
        ValueError: Two images have the same name, there is not one name a result, or a result has a class without an
            id.
    """
    stems = [Path(name).stem for name in filenames]
    twice = [stem for stem, number in Counter(stems).items() if number > 1]
    if twice:
        raise ValueError(f'several images would become {twice[0]}.png; write them into folders of their own')
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f'{stem}.png' for stem in stems]
    for result, file in zip(results, files, strict=True):
        _image(_in_file(result.mask, label_ids), palette).save(file)
    return files


def _in_file(mask_hw: np.ndarray, label_ids: Sequence[int] | None) -> np.ndarray:
    if label_ids is not None:
        if mask_hw.size and int(mask_hw.max()) >= len(label_ids):
            raise ValueError(f'a result has the class {int(mask_hw.max())}, but there are {len(label_ids)} label_ids')
        mask_hw = np.asarray(label_ids)[mask_hw]
    return mask_hw.astype(np.uint8 if mask_hw.max(initial=0) < 256 else np.uint16)


def _image(mask_hw: np.ndarray, palette: Sequence[Sequence[int]] | None) -> Image.Image:
    image = Image.fromarray(mask_hw)
    if palette is not None and mask_hw.dtype == np.uint8:
        image = image.convert('P')
        image.putpalette(np.asarray(palette, np.uint8)[:, :3].reshape(-1).tolist())
    return image
