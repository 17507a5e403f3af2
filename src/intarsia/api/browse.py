"""Looking at what training sees: augmented samples with their targets, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from intarsia.api.data import build_dataset, take_normalize
from intarsia.api.tasks import find_task, ready
from intarsia.config.file import ConfigFile
from intarsia.config.pipelines import joined
from intarsia.config.schema import to_run_config
from intarsia.core.errors import ConfigError, DataError, Problem
from intarsia.data.io.image import write_image
from intarsia.data.samplers import RandomSampler, SequentialSampler
from intarsia.data.seeding import SampleKey

CELL_WIDTH, GAP = 240, 6
FRAMES = 4
"""Of a clip in its picture."""


def browse(
    config: ConfigFile,
    out: str | Path = 'browse.png',
    *,
    split: Literal['train', 'val', 'test'] = 'train',
    num: int = 16,
    epoch: int = 0,
    seed: int | None = None,
) -> int:
    """Draw the first samples of an epoch as training gets them, with their targets, on one sheet.

    Args:
        config: As read.
        out: The picture.
        split: Which data set.
        num: How many samples.
        epoch: Which epoch, from 0: other augmentations, and another order if the samples are shuffled.
        seed: Seed of the order and the augmentations; None takes that of the config, or 0.

    Returns:
        How many samples were drawn.

    Raises:
        ConfigError: The config has mistakes, or no such data set.
    """
    run = to_run_config(ready(config).values)
    node = getattr(run.data, split)
    if node is None:
        raise ConfigError(Problem('missing-field', f"there is no 'data.{split}' to look at.", f'data.{split}'))
    task = find_task(run.model, run.task)
    node, normalize = take_normalize(joined(node), task.name)
    dataset = build_dataset(node, task, test_mode=split != 'train')
    seed = (run.seed or 0) if seed is None else seed
    sampler = (RandomSampler if split == 'train' else SequentialSampler)(dataset, seed)
    order = sampler.order(epoch)[:num]
    swap = normalize is not None and not normalize.to_rgb  # an image that is RGB already
    cells = []
    for position, index in enumerate(order):
        sample = dataset[SampleKey(int(index), seed, epoch, position)]
        picture = picture_of(sample)
        cells.append(task.draw_sample(picture[..., ::-1].copy() if swap else picture, sample, dataset))
    write_image(contact_sheet(cells), Path(out))
    return len(cells)


def picture_of(sample: Mapping[str, Any]) -> np.ndarray:
    """The image of a sample, or some frames of a clip, before or after normalisation, as uint8 BGR ``(H, W, 3)``.

    Raises:
        DataError: It has neither.
    """
    key = next((key for key in ('img', 'imgs') if key in sample), None)
    if key is None:
        raise DataError(f'a sample has nothing to draw: neither img nor imgs, only {", ".join(sample)}')
    image = np.asarray(sample[key][0] if isinstance(sample[key], list) else sample[key])
    array = np.moveaxis(image if key == 'img' else _frames_in_a_row(image), 0, -1)
    if array.dtype != np.uint8:
        array = _without_normalization(array, _normalization_of(sample))
    if array.shape[2] != 3:
        array = np.repeat(array[..., :1], 3, axis=2)
    return np.ascontiguousarray(array)


def _frames_in_a_row(clip: np.ndarray) -> np.ndarray:
    """Some frames of ``(M * T, C, H, W)`` or ``(M, C, T, H, W)`` beside each other, ``(C, H, W)``."""
    frames_tchw = clip if clip.ndim == 4 else clip[0].swapaxes(0, 1)
    chosen = np.linspace(0, len(frames_tchw) - 1, min(FRAMES, len(frames_tchw))).round().astype(int)
    return np.concatenate(list(frames_tchw[chosen]), axis=2)


def _normalization_of(sample: Mapping[str, Any]) -> Mapping[str, Any] | None:
    metas = sample.get('img_metas')
    metas = metas[0] if isinstance(metas, list) else metas
    return metas.get('img_norm_cfg') if isinstance(metas, Mapping) else None


def _without_normalization(array_hwc: np.ndarray, norm: Mapping[str, Any] | None) -> np.ndarray:
    """Pixel values again; of an image whose normalisation is not known, stretched to 0 ... 255."""
    if norm is None or len(np.atleast_1d(norm['mean'])) != array_hwc.shape[2]:
        low, high = float(array_hwc.min()), float(array_hwc.max())
        return np.clip((array_hwc - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    pixels = np.clip(np.rint(array_hwc * np.array(norm['std']) + np.array(norm['mean'])), 0, 255).astype(np.uint8)
    return pixels[..., ::-1] if norm.get('to_rgb') else pixels


def contact_sheet(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures in rows, each as wide as the others: uint8 BGR."""
    sized = [
        cv2.resize(cell, (CELL_WIDTH, max(round(cell.shape[0] * CELL_WIDTH / cell.shape[1]), 1)),
                   interpolation=cv2.INTER_AREA if cell.shape[1] > CELL_WIDTH else cv2.INTER_NEAREST)
        for cell in cells
    ]  # fmt: skip
    columns = max(int(np.ceil(np.sqrt(len(sized)))), 1)
    rows = [sized[i : i + columns] for i in range(0, len(sized), columns)]
    width = columns * (CELL_WIDTH + GAP) + GAP
    strips = []
    for row in rows:
        strip = np.full((max(cell.shape[0] for cell in row) + GAP, width, 3), 255, np.uint8)
        for i, cell in enumerate(row):
            left = GAP + i * (CELL_WIDTH + GAP)
            strip[GAP : GAP + cell.shape[0], left : left + CELL_WIDTH] = cell
        strips.append(strip)
    return np.vstack([*strips, np.full((GAP, width, 3), 255, np.uint8)])
