"""What the data sets of classification share: class names and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.dataset import BaseDataset
from intarsia.data.embedded import resolve_prefix


class ClassificationDataset(BaseDataset):
    """Images with one label each. A subclass implements :meth:`load_annotations`.

    An annotation is ``dict(img_prefix=FOLDER, img_info=dict(filename=NAME), gt_label=np.int64 scalar)``; the pipeline
    starts from it.

    Args:
        data_prefix: Folder of the images; ``intarsia::NAME`` is an embedded data set.
        pipeline: Transform nodes or callables.
        classes: Class names, or a file with one a line; None takes those of the class.
        ann_file: List of images and labels, where the data set has one.
        test_mode: For validation and testing.

    Raises:
        DataError: Files are missing or broken, or a label is out of range.
    """

    def __init__(
        self,
        data_prefix: str = '',
        pipeline: Sequence[Mapping[str, Any]] = (),
        classes: str | Sequence[str] | None = None,
        ann_file: str | None = None,
        test_mode: bool = False,
    ) -> None:
        self.data_prefix = resolve_prefix(data_prefix)
        self.ann_file = ann_file
        self.test_mode = test_mode
        self.CLASSES = self.get_classes(classes)
        super().__init__(pipeline, test_mode, task='classification')
        self._labels = self.collect_labels()
        self._check_labels()

    @classmethod
    def get_classes(cls, classes: str | Sequence[str] | None = None) -> Sequence[str] | None:
        """Class names from a list, from a file with one a line, or those the class declares."""
        if classes is None:
            return cls.CLASSES
        if isinstance(classes, str):
            file = Path(classes).expanduser()
            if not file.is_file():
                raise DataError(f'classes: there is no file {file}')
            return [line.strip() for line in file.read_text(encoding='utf-8').splitlines() if line.strip()]
        return list(classes)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Label of every class name."""
        return {name: i for i, name in enumerate(self.CLASSES or ())}

    def collect_labels(self) -> np.ndarray:
        """Labels of all samples, read once."""
        return np.array([self.annotations[i]['gt_label'] for i in range(len(self))])

    def get_gt_labels(self) -> np.ndarray:
        """Labels of all samples: int64 ``(N,)``, or ``(N, C)`` for several labels a sample."""
        return self._labels

    def get_cat_ids(self, index: int) -> list[int]:
        """Classes of a sample."""
        return [int(self._labels[index])]

    def _check_labels(self) -> None:
        if len(self._labels) == 0:
            raise DataError(f'{type(self).__name__}: there are no samples in {self.data_prefix or self.ann_file}')
        if self.CLASSES is None or self._labels.ndim != 1:
            return
        bad = np.flatnonzero((self._labels < 0) | (self._labels >= len(self.CLASSES)))
        if len(bad):
            first = int(bad[0])
            raise DataError(
                f'{type(self).__name__}: {len(bad)} labels lie outside the {len(self.CLASSES)} classes, '
                f'the first is {self._labels[first]} of {self.describe(first)}'
            )
