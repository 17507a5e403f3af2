"""Are segments within their streams, and are the features there? Asked before training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from intarsia.core.errors import Problem, closest
from intarsia.tasks.action.datasets.activitynet import ActivityNetDataset, streams_in
from intarsia.tasks.action.transforms.localization import LoadProposals

CODE = 'bad-annotation'
TOLERANCE = 0.1
"""By this part of its stream a segment may reach out of it: many of ActivityNet's do, a little."""


def check_segments(dataset: Any, limit: int = 50) -> list[Problem]:
    """Look at annotations and files, and say what is wrong with them.

    Segments that end before they begin or lie outside their stream, labels that are none of the classes, files of
    features or proposals that are missing.

    Args:
        dataset: An :class:`~intarsia.tasks.action.datasets.activitynet.ActivityNetDataset`, or data sets made of such
            ones; others pass.
        limit: Most streams whose files are looked for, evenly spread over a data set.

    Returns:
        The problems, each with the first stream that shows it.
    """
    return [problem for each in streams_in(dataset) for problem in (*_bad_segments(each), *_missing_files(each, limit))]


def _bad_segments(dataset: ActivityNetDataset) -> Iterator[Problem]:
    classes = set(dataset.CLASSES or ())
    faults: dict[str, list[str]] = {}
    count = 0
    for row in dataset.annotations:
        for each in row['annotations']:
            count += 1
            for fault, value in _faults_of(each, row['duration_second'], classes):
                faults.setdefault(fault, []).append(f'a segment of {row["video_name"]} {fault}: {value}')
    for found in faults.values():
        others = f' (and {len(found) - 1} more of {count})' if len(found) > 1 else ''
        yield Problem(CODE, f'{found[0]}{others}.', file=dataset.ann_file)


def _faults_of(annotation: Mapping[str, Any], duration: float, classes: set[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with one segment, and the value that shows it."""
    begin, end = annotation['segment']
    slack = TOLERANCE * duration
    if not begin < end:
        yield 'does not begin before it ends', f'{begin} to {end} s'
    elif begin < -slack or end > duration + slack:
        yield 'lies outside of its stream', f'{begin} to {end} s of {duration} s'
    label = annotation['label']
    if label not in classes:
        close = closest(str(label), classes)
        yield 'has a label that is none of the classes', f"'{label}'" + (f" (did you mean '{close}'?)" if close else '')


def _missing_files(dataset: ActivityNetDataset, limit: int) -> Iterator[Problem]:
    count = min(len(dataset), limit)
    indices = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    for step in dataset.pipeline.transforms:
        if not hasattr(step, 'files_of'):
            continue
        rows = [{**dataset.annotations[index], 'data_prefix': dataset.data_prefix} for index in indices]
        files = [file for row in rows for file in step.files_of(row)]
        missing = [file for file in files if not file.is_file()]
        if missing:
            others = f' (and {len(missing) - 1} more of {len(files)})' if len(missing) > 1 else ''
            hint = 'was `intarsia proposals` run' if isinstance(step, LoadProposals) else 'is data_prefix right'
            message = f'{type(step).__name__} misses {missing[0]}{others}: {hint}?'
            yield Problem('missing-file', message, file=str(missing[0]))
