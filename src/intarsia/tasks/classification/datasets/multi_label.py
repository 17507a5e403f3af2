"""Images with several labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.tasks.classification.datasets.base import ClassificationDataset


class MultiLabelDataset(ClassificationDataset):
    """Images with any number of labels: ``gt_label`` is ``(C,)``, 1 for a class that is there, 0 for one that is not.

    A value of -1 marks a class that evaluation leaves out. Arguments as :class:`ClassificationDataset`.
    """

    def checked(self, label: Any, index: int) -> np.ndarray:
        """The labels of a sample, ``(C,)``.

        Raises:
            DataError: They are not one for each class.
        """
        array = np.asarray(label)
        if self.CLASSES is not None and array.shape != (len(self.CLASSES),):
            raise DataError(
                f'{type(self).__name__}: labels of {len(self.CLASSES)} classes have the shape ({len(self.CLASSES)},), '
                f'not {array.shape} as in {self.describe(index)}'
            )
        return array

    def get_cat_ids(self, index: int) -> list[int]:
        """Classes that are there."""
        return np.flatnonzero(self.get_gt_labels()[index] == 1).tolist()


@DATASETS.register_module()
class VOC(MultiLabelDataset):
    """Pascal VOC 2007 (Everingham et al., 2010), the classes of an image's objects.

    Args:
        data_prefix: The folder ``VOC2007`` with ``JPEGImages`` and ``Annotations``.
        pipeline: Transform nodes or callables.
        ann_file: List of image numbers, ``ImageSets/Main/trainval.txt``.
        classes: Class names, or a file with one a line.
        difficult_as_postive: A class whose objects are all difficult counts as there (True), as not there (False), or
            is left out of the evaluation (None).
        test_mode: For validation and testing.

    Raises:
        DataError: The list or an annotation is missing or broken.
    """

    CLASSES = (
        'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'diningtable', 'dog',
        'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor',
    )  # fmt: skip

    def __init__(
        self,
        data_prefix: str = '',
        pipeline: Sequence[Mapping[str, Any]] = (),
        ann_file: str | None = None,
        classes: str | Sequence[str] | None = None,
        difficult_as_postive: bool | None = None,
        test_mode: bool = False,
    ) -> None:
        self.difficult_as_postive = difficult_as_postive
        super().__init__(data_prefix, pipeline, classes, ann_file, test_mode)

    def load_annotations(self) -> list[dict[str, Any]]:
        """Read the list and the annotation of every image in it."""
        if self.ann_file is None or not Path(self.ann_file).is_file():
            raise DataError(
                f'VOC needs ann_file, a list of images such as ImageSets/Main/trainval.txt; there is no file '
                f'{self.ann_file}. Nothing is downloaded; unpack the official archive and point to it.'
            )
        ids = Path(self.ann_file).read_text(encoding='utf-8').split()
        return [
            {
                'img_prefix': self.data_prefix,
                'img_info': {'filename': f'JPEGImages/{name}.jpg'},
                'gt_label': self._label(Path(self.data_prefix) / 'Annotations' / f'{name}.xml'),
            }
            for name in ids
        ]

    def _label(self, file: Path) -> np.ndarray:
        try:
            objects = ElementTree.parse(file).getroot().findall('object')
        except (OSError, ElementTree.ParseError) as error:
            raise DataError(f'{file} cannot be read: {error}') from error
        label = np.zeros(len(self.CLASSES or ()), np.int8)
        easy: set[int] = set()
        difficult: set[int] = set()
        for each in objects:
            index = self.class_to_idx.get(each.findtext('name', ''))
            if index is not None:
                (difficult if int(each.findtext('difficult', '0')) else easy).add(index)
        label[list(difficult)] = {None: -1, True: 1, False: 0}[self.difficult_as_postive]
        label[list(easy)] = 1
        return label
