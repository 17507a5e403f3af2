"""The side of Intarsia in ``video.py``, which starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import torch
from alternate import Case, serve

from intarsia.core.registries import DATASETS, SAMPLERS
from intarsia.data.device import ToDevice, split_normalize
from intarsia.data.loader import Loader

FOLDER = Path(sys.argv[1])
RECIPES = json.loads((FOLDER / 'recipes.json').read_text())


def loader(recipe: str, kind: str, backend: str, is_random: bool) -> Loader:
    """Batches of clips; without randomness the whole image is taken, frames are in fixed places."""
    values = RECIPES[recipe]
    crop = [dict(type='RandomResizedCrop')] if is_random else []
    nodes: list[dict[str, Any]] = [
        dict(type='DecordInit', backend=backend),
        dict(type='SampleFrames', test_mode=not is_random, rules='1.x', **values['sample']),
        dict(type='DecordDecode'),
        dict(type='Resize', scale=(-1, 256)),
        *crop,
        dict(type='Resize', scale=(224, 224), keep_ratio=False),
        dict(type='Flip', flip_ratio=0.5 * is_random),
        dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
        dict(type='FormatShape', input_format=values['layout']),
        dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
        dict(type='ToTensor', keys=['imgs', 'label']),
    ]
    steps, normalize = split_normalize(nodes, 'action')
    node = dict(type='VideoDataset', ann_file=str(FOLDER / f'{kind}.txt'), data_prefix=str(FOLDER), pipeline=steps)
    dataset = DATASETS.of('action').build(node)
    order = SAMPLERS.build(dict(type='RandomSampler' if is_random else 'SequentialSampler'), dataset=dataset, seed=0)
    return Loader(dataset, order, batch_size=8, prepare=ToDevice('cpu', normalize))


def epoch(recipe: str, kind: str, backend: str) -> Case:
    """An epoch; gives the number of clips, and without draws the shape of a batch and the mean of each clip."""
    found: list[float] = []
    for batch in loader(recipe, kind, backend, is_random=False):
        found += [*map(float, batch['imgs'].shape), *batch['imgs'].abs().flatten(1).mean(1).tolist()]
    batches = loader(recipe, kind, backend, is_random=True)

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        batches.start(repeat)
        return [sum(len(batch['imgs']) for batch in batches), *found]

    return run


if __name__ == '__main__':
    cv2.setNumThreads(0)
    serve({'epoch': epoch})
