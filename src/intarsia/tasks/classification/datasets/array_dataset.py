"""Data sets whose images are one array in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from intarsia.core.errors import DataError
from intarsia.data.transforms.transform import Results
from intarsia.tasks.classification.datasets.base import ClassificationDataset


class ArrayDataset(ClassificationDataset):
    """Small images, all in one uint8 array that worker processes share. A subclass implements :meth:`load_arrays`.

    The pipeline starts from ``dict(img=uint8 array, gt_label=int64 array without axes)``; no file is read any more.
    Arguments as :class:`ClassificationDataset`.
    """

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 ``(N, H, W)`` or ``(N, H, W, C)``, and labels int ``(N,)``."""
        raise NotImplementedError(f'{type(self).__name__} has no load_arrays')

    def load_annotations(self) -> list[dict[str, Any]]:
        """No list of dicts: the arrays are the annotations."""
        images, labels = self.load_arrays()
        if len(images) != len(labels):
            raise DataError(f'{self.data_prefix} has {len(images)} images, but {len(labels)} labels')
        self._images = torch.from_numpy(np.array(images, order='C')).share_memory_()
        self._array_labels = labels.astype(np.int64)
        return []

    def __len__(self) -> int:
        return len(self._array_labels)

    def prepare(self, index: int) -> Results:
        """A copy of the image, and its label."""
        img = self._images[index].numpy().copy()
        label = self.checked(self._array_labels[index], index)
        return {'img': img, 'img_shape': img.shape, 'ori_shape': img.shape, 'gt_label': label}

    def collect_labels(self) -> np.ndarray:
        """The labels as loaded, checked."""
        for extreme in (self._array_labels.argmin(), self._array_labels.argmax()):
            self.checked(self._array_labels[extreme], int(extreme))
        return self._array_labels

    def describe(self, index: int) -> str:
        """Number and split of a sample."""
        return f'image {index} of the {"test" if self.test_mode else "training"} files in {self.data_prefix}'


def missing_files(what: str, folder: str, names: Sequence[str]) -> DataError:
    """The error that files of a data set are not where they should be."""
    return DataError(
        f'{what} is not in {folder or "."}: {", ".join(names)} missing. '
        'Nothing is downloaded; put the official files there, or point data_prefix to them.'
    )
