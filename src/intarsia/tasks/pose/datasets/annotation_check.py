"""Are annotations what the joints and the images say? Asked before training, not after an AP of 0 hours later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import Problem
from intarsia.tasks.pose.datasets.coco_file import CocoFile
from intarsia.tasks.pose.datasets.pose_dataset import PoseDataset

CODE = 'bad-annotation'
VISIBLE = (0, 1, 2)
"""Not marked, hidden, visible."""


def check_annotations(dataset: Any, limit: int = 50) -> list[Problem]:
    """Look at annotations, and say what is wrong with them.

    Annotations of images that the file does not have, visibilities other than 0, 1 and 2, boxes without size or outside
    the image, marked joints far outside the image, ids that occur twice, images that are missing on disk. Other
    numbers of joints, and files without anybody, are errors already when a data set is built.

    Args:
        dataset: A :class:`PoseDataset`, or data sets made of such ones; others pass.
        limit: Most image files that are looked for of each data set, evenly spread over it.

    Returns:
        The problems, with the first annotation that shows each.
    """
    if isinstance(dataset, PoseDataset):
        coco = dataset.read_file()
        problems = [] if coco is None else list(_problems_of(coco, dataset))
        return problems + list(_missing_images(dataset, limit))
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    return [problem for each in inner if each is not None for problem in check_annotations(each, limit)]


def _problems_of(coco: CocoFile, dataset: PoseDataset) -> Iterator[Problem]:
    faults: dict[str, list[str]] = {}
    ids = [annotation.get('id') for annotation in coco.annotations]
    twice = len(ids) - len(set(ids))
    if twice:
        seen: set[Any] = set()
        first = next(each for each in ids if each in seen or seen.add(each))  # type: ignore[func-returns-value]
        yield Problem(CODE, f'{twice} annotations have the id of another, the first is {first}.', file=coco.path)
    for annotation in coco.annotations:
        image = coco.images.get(annotation.get('image_id'))
        if image is None:
            fault = 'is of an image that the file does not have'
            faults.setdefault(fault, []).append(f'annotation {annotation.get("id")} ({annotation.get("image_id")})')
            continue
        for values, box in [] if annotation.get('iscrowd', 0) else dataset.parts_of(annotation):
            for fault, value in _faults_of(np.asarray(values, float).reshape(-1, 3), box, image):
                faults.setdefault(fault, []).append(f'annotation {annotation.get("id")} ({value})')
    for fault, found in faults.items():
        others = f' (and {len(found) - 1} more of {len(coco.annotations)})' if len(found) > 1 else ''
        yield Problem(CODE, f'{found[0]} {fault}{others}.', file=coco.path)


def _faults_of(values_k3: np.ndarray, box: Any, image: Any) -> Iterator[tuple[str, Any]]:
    """What is wrong with one person, and the value that shows it."""
    visible = values_k3[:, 2]
    foreign = visible[~np.isin(visible, VISIBLE)]
    if foreign.size and ((foreign < 0) | (foreign > 2)).any():
        yield 'has a joint whose visibility is not 0, 1 or 2', f'{foreign[0]:g}'
    width, height = image.get('width', np.inf), image.get('height', np.inf)
    if box is not None and (visible > 0).any():
        x, y, w, h = box
        if w <= 0 or h <= 0:
            yield 'has a box without size', f'x, y, width, height: {list(box)}'
        elif x >= width or y >= height or x + w <= 0 or y + h <= 0:
            yield 'has a box outside its image', f'x, y, width, height: {list(box)}; image {width}x{height}'
    far = (visible > 0) & ((values_k3[:, :2] < (-width, -height)) | (values_k3[:, :2] > (2 * width, 2 * height))).any(1)
    if far.any():
        yield 'has a joint far outside its image', f'{values_k3[far][0, :2].tolist()}; image {width}x{height}'


def _missing_images(dataset: PoseDataset, limit: int) -> Iterator[Problem]:
    count = min(len(dataset), limit)
    indices = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    files = [dataset.annotations[index]['image_file'] for index in indices]
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        others = f' (and {len(missing) - 1} more of {count})' if len(missing) > 1 else ''
        message = f'an image of {dataset.ann_file} does not exist: {missing[0]}{others}. Is img_prefix right?'
        yield Problem('missing-file', message, file=missing[0])
