"""The side of mmaction2 1.x in ``video.py``, which starts it; cases as in ``video_ours.py``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from alternate import Case, serve
from mmaction.models.data_preprocessors import ActionDataPreprocessor
from mmaction.registry import DATASETS
from mmaction.utils import register_all_modules
from mmengine.dataset import pseudo_collate

FOLDER = Path(sys.argv[1])
RECIPES = json.loads((FOLDER / 'recipes.json').read_text())


def loader(recipe: str, kind: str, is_random: bool) -> Any:
    """Batches of samples."""
    values = RECIPES[recipe]
    crop = [dict(type='RandomResizedCrop')] if is_random else []
    steps = [
        dict(type='DecordInit'),
        dict(type='SampleFrames', test_mode=not is_random, **values['sample']),
        dict(type='DecordDecode'),
        dict(type='Resize', scale=(-1, 256)),
        *crop,
        dict(type='Resize', scale=(224, 224), keep_ratio=False),
        dict(type='Flip', flip_ratio=0.5 * is_random),
        dict(type='FormatShape', input_format=values['layout']),
        dict(type='PackActionInputs'),
    ]
    node = dict(type='VideoDataset', ann_file=str(FOLDER / f'{kind}.txt'), data_prefix=dict(video=str(FOLDER)))
    dataset = DATASETS.build({**node, 'pipeline': steps})
    return torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=is_random, collate_fn=pseudo_collate)


def epoch(recipe: str, kind: str, backend: str) -> Case:
    """An epoch; gives the number of clips, and without draws the shape of a batch and the mean of each clip."""
    prepare = ActionDataPreprocessor(
        [123.675, 116.28, 103.53], [58.395, 57.12, 57.375], format_shape=RECIPES[recipe]['layout']
    )
    found: list[float] = []
    for raw in loader(recipe, kind, is_random=False):
        imgs = prepare(raw, False)['inputs']
        found += [*map(float, imgs.shape), *imgs.abs().flatten(1).mean(1).tolist()]
    batches = loader(recipe, kind, is_random=True)

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        np.random.seed(repeat)
        torch.manual_seed(repeat)
        return [sum(len(prepare(batch, True)['inputs']) for batch in batches), *found]

    return run


if __name__ == '__main__':
    cv2.setNumThreads(0)
    register_all_modules()
    logging.disable(logging.INFO)
    serve({'epoch': epoch})
