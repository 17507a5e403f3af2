"""Streams with true segments, as ActivityNet's annotations have them.

Shapes: n true segments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import DataError, closest
from intarsia.core.registries import DATASETS
from intarsia.data.dataset import BaseDataset, read_class_names
from intarsia.data.transforms.transform import Results

NEEDED = ('duration_second', 'annotations')
"""Of every stream."""


@DATASETS.register_module()
class ActivityNetDataset(BaseDataset):
    """Streams, each of which has segments in which something happens.

    The annotations are JSON::

        {"v_stream": {"duration_second": 211.5, "duration_frame": 6337, "feature_frame": 6336,
                      "annotations": [{"segment": [30.0, 205.2], "label": "Rock climbing"}]}}

    Segments are in seconds. ``feature_frame`` says how many frames the features cover; all, if it is missing.

    Args:
        ann_file: The annotations.
        pipeline: Transform nodes or callables.
        data_prefix: Folder of the files with features.
        test_mode: For validation and testing.
        classes: Names of the classes, or a file with one a line; None takes all labels of the annotations, sorted.
            Where models know classes, give all data sets the same ones.

    Raises:
        DataError: The annotations are missing, or of another format.
    """

    default_metrics = ('AR@AN',)
    """What is measured, if nothing else is said."""

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[Mapping[str, Any]] = (),
        data_prefix: str | None = None,
        test_mode: bool = False,
        classes: str | Sequence[str] | None = None,
    ) -> None:
        self.ann_file, self.data_prefix = ann_file, data_prefix
        self.CLASSES = None if classes is None else read_class_names(classes)
        super().__init__(pipeline, test_mode, task='action')

    def load_annotations(self) -> list[dict[str, Any]]:
        """One dict a stream, with its ``video_name``, in the order of the file."""
        try:
            streams = json.loads(Path(self.ann_file).read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise DataError(f'ann_file: {self.ann_file} cannot be read: {error}') from error
        if not isinstance(streams, Mapping) or 'database' in streams:
            raise DataError(
                f'ann_file: {self.ann_file} is not {{stream: {{duration_second: ..., annotations: [...]}}}}; the '
                'original file of ActivityNet, with "database", has to be converted to that'
            )
        for name, stream in streams.items():
            missing = [key for key in NEEDED if key not in stream]
            if missing:
                raise DataError(f'ann_file: {name} of {self.ann_file} has no {" and no ".join(missing)}')
        return [{**stream, 'video_name': name} for name, stream in streams.items()]

    def index_annotations(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note the labels, if nobody named the classes."""
        if self.CLASSES is None:
            self.CLASSES = sorted({each['label'] for row in rows for each in row['annotations']})
        self._number = {name: number for number, name in enumerate(self.CLASSES)}

    def prepare(self, index: int) -> Results:
        """The annotation, with ``data_prefix`` and ``gt_labels``, int64 ``(N,)``."""
        row = super().prepare(index)
        return {**row, 'data_prefix': self.data_prefix, 'gt_labels': self.labels_of(row)}

    def labels_of(self, row: Mapping[str, Any]) -> np.ndarray:
        """The numbers of the classes of a stream's segments, int64 ``(N,)``.

        Raises:
            DataError: A label is none of the classes.
        """
        names = [each['label'] for each in row['annotations']]
        unknown = next((name for name in names if name not in self._number), None)
        if unknown is not None:
            close = closest(str(unknown), self._number)
            hint = f" Did you mean '{close}'?" if close else ''
            raise DataError(f"'{unknown}' is none of the {len(self._number)} classes.{hint}")
        return np.array([self._number[name] for name in names], np.int64)

    def truth(self, index: int) -> dict[str, Any]:
        """What the result for a stream is compared with: its name, segments in seconds, their labels, its duration."""
        row = self.annotations[index]
        segments = np.array([each['segment'] for each in row['annotations']], np.float64).reshape(-1, 2)
        return {
            'video': row['video_name'],
            'segments': segments,
            'labels': self.labels_of(row),
            'duration': row['duration_second'],
        }

    def describe(self, index: int) -> str:
        """The name of the stream, and where it is described."""
        return f'{self.annotations[index]["video_name"]} of {self.ann_file}'


def streams_in(dataset: Any) -> Iterator[ActivityNetDataset]:
    """The data sets of streams that a data set is, or is made of; others are left out."""
    if isinstance(dataset, ActivityNetDataset):
        yield dataset
        return
    for inner in getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]:
        if inner is not None:
            yield from streams_in(inner)
