"""Are lists of clips what the classes and the files say? Asked before training."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from intarsia.core.errors import Problem
from intarsia.tasks.action.datasets.clip_dataset import ClipDataset

CODE = 'bad-annotation'
MAX_MISSING = 0.1
"""Part of the clips of a training set that may be missing: it replaces them."""


def check_clips(dataset: Any, limit: int = 200) -> list[Problem]:
    """Look for labels that are none of the classes, and for files that are missing.

    In training some files may be missing, as others take their places; not more than a tenth of them.

    Args:
        dataset: A :class:`ClipDataset`, or data sets made of such ones; others pass.
        limit: Most files that are looked for of each data set, evenly spread over it.

    Returns:
        The problems, with the first clip that shows each.
    """
    if isinstance(dataset, ClipDataset):
        return [*_foreign_labels(dataset), *_missing_files(dataset, limit)]
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    return [problem for each in inner if each is not None for problem in check_clips(each, limit)]


def _foreign_labels(dataset: ClipDataset) -> Iterator[Problem]:
    limit = np.inf if dataset.num_classes is None else dataset.num_classes
    bad = [i for i in range(len(dataset)) if not all(0 <= label < limit for label in dataset.get_cat_ids(i))]
    if bad:
        labels = ', '.join(map(str, dataset.get_cat_ids(bad[0])))
        wanted = f'0 to {dataset.num_classes - 1}' if dataset.num_classes is not None else '0 or more'
        yield _problem(dataset, bad, len(dataset), f'has the label {labels}, but labels are {wanted}')


def _missing_files(dataset: ClipDataset, limit: int) -> Iterator[Problem]:
    looked_at = np.unique(np.linspace(0, len(dataset) - 1, limit).astype(int)).tolist()
    paths = {index: dataset.annotations[index][dataset.PATH] for index in looked_at}
    bad = [index for index, path in paths.items() if not os.path.exists(path) and not os.path.exists(f'{path}.mp4')]
    tolerated = 0 if dataset.test_mode else MAX_MISSING * len(looked_at)
    if len(bad) > tolerated:
        yield _problem(dataset, bad, len(looked_at), f'is missing: there is no {paths[bad[0]]}')


def _problem(dataset: ClipDataset, bad: list[int], count: int, fault: str) -> Problem:
    """One sentence about all the clips with a fault, at the line of the first."""
    others = f' (and {len(bad) - 1} more of {count})' if len(bad) > 1 else ''
    is_text = not dataset.ann_file.endswith('.json')
    line = list(dataset.read_lines())[bad[0]][0] if is_text else None
    return Problem(CODE, f'clip {bad[0]} {fault}{others}.', file=dataset.ann_file, line=line)
