"""What the data sets of classification share: class names and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.dataset import BaseDataset, read_class_names
from intarsia.data.embedded import resolve_prefix
from intarsia.data.transforms.transform import Results


class ClassificationDataset(BaseDataset):
    """Images with one label each. A subclass implements :meth:`load_annotations`.

    An annotation is ``dict(img_prefix=FOLDER, img_info=dict(filename=NAME), gt_label=LABEL)``, where the label is an
    integer. The pipeline starts from it, with the label as an int64 array without axes.

    Args:
        data_prefix: Folder of the images; ``intarsia::NAME`` is an embedded data set.
        pipeline: Transform nodes or callables.
        classes: Class names, or a file with one a line; None takes those of the class.
        ann_file: List of images and labels, where the data set has one.
        test_mode: For validation and testing.

    Raises:
        DataError: Files are missing or broken, or there are no samples.
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
        self._labels: np.ndarray | None = None
        super().__init__(pipeline, test_mode, task='classification')
        if len(self) == 0:
            raise DataError(f'{type(self).__name__}: there are no samples in {self.ann_file or self.data_prefix}')

    @classmethod
    def get_classes(cls, classes: str | Sequence[str] | None = None) -> Sequence[str] | None:
        """Class names from a list, from a file with one a line, or those the class declares.

        Raises:
            DataError: There is no such file.
        """
        return cls.CLASSES if classes is None else read_class_names(classes)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Label of every class name."""
        return {name: i for i, name in enumerate(self.CLASSES or ())}

    def index_annotations(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the labels, and check that every one is a class.

        Raises:
            DataError: A label is none of the classes.
        """
        labels = [row['gt_label'] for row in rows if np.size(row.get('gt_label', ())) == 1]
        if len(labels) < len(rows) or not rows:
            return
        array = np.array([int(np.asarray(label).item()) for label in labels], np.int64)
        num_classes = len(self.CLASSES) if self.CLASSES is not None else None
        bad = np.flatnonzero((array < 0) | (array >= num_classes)) if num_classes is not None else np.array([], int)
        if bad.size:
            raise DataError(
                f'{type(self).__name__}: labels of {num_classes} classes are 0 ... {num_classes - 1}, '  # type: ignore[operator]
                f'not {array[bad[0]]} as in {dict(rows[int(bad[0])])} (and {bad.size - 1} more)'
            )
        self._labels = array

    def prepare(self, index: int) -> Results:
        """The annotation, with its label checked."""
        results = super().prepare(index)
        if 'gt_label' in results:
            results['gt_label'] = self.checked(results['gt_label'], index)
        return results

    def checked(self, label: Any, index: int) -> np.ndarray:
        """The label of a sample as an int64 array without axes; labels with axes stay as they are.

        Raises:
            DataError: It is none of the classes.
        """
        array = np.asarray(label)
        if array.size != 1:
            return array
        if self.CLASSES is not None and not 0 <= array.item() < len(self.CLASSES):
            raise DataError(
                f'{type(self).__name__}: labels of {len(self.CLASSES)} classes are 0 ... {len(self.CLASSES) - 1}, '
                f'not {array.item()} as in {self.describe(index)}'
            )
        return array.reshape(()).astype(np.int64)

    def collect_labels(self) -> np.ndarray:
        """Read the labels of all samples; called when they are first asked for."""
        return np.stack([self.prepare(i)['gt_label'] for i in range(len(self))])

    def get_gt_labels(self) -> np.ndarray:
        """Labels of all samples: int64 ``(N,)``, or ``(N, C)`` for several labels a sample.

        Raises:
            DataError: A label is none of the classes, or a sample has none.
        """
        if self._labels is None:
            try:
                self._labels = self.collect_labels()
            except KeyError as error:
                raise DataError(f"{type(self).__name__}: there are annotations without 'gt_label'") from error
        return self._labels

    def get_cat_ids(self, index: int) -> list[int]:
        """Classes of a sample."""
        return [int(self.get_gt_labels()[index])]
