"""CIFAR-10 and CIFAR-100: small colour images in pickled batches."""

from __future__ import annotations

import codecs
import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.tasks.classification.datasets.array_dataset import ArrayDataset, missing_files

_ARRAY_PARTS: dict[str, Any] = {
    'numpy.ndarray': np.ndarray,
    'numpy.dtype': np.dtype,
    '_codecs.encode': codecs.encode,
    'multiarray._reconstruct': np.zeros(1).__reduce__()[0],
    'numeric._frombuffer': np.zeros(1).__reduce_ex__(5)[0],
}
"""What a pickled array is made of; NumPy moved some of it from ``numpy.core`` to ``numpy._core``."""


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays, strings, numbers and containers, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        known = f'{module.removeprefix("numpy.core.").removeprefix("numpy._core.")}.{name}'
        if known not in _ARRAY_PARTS:
            raise pickle.UnpicklingError(f'it holds {module}.{name}, which is neither an array nor a plain value')
        return _ARRAY_PARTS[known]


def read_batch(file: Path) -> dict[str, Any]:
    """Read one pickled batch safely.

    Raises:
        DataError: The file is broken, or holds more than arrays and plain values.
    """
    try:
        content = _ArrayUnpickler(io.BytesIO(file.read_bytes()), encoding='latin1').load()
    except Exception as error:
        raise DataError(f'{file} cannot be read as a CIFAR batch: {error}') from error
    data = content.get('data') if isinstance(content, dict) else None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3 * 32 * 32,):
        raise DataError(f"{file} is no CIFAR batch: its 'data' is not uint8 of the shape (N, 3072)")
    return content


@DATASETS.register_module()
class CIFAR10(ArrayDataset):
    """CIFAR-10 (Krizhevsky, 2009): 50,000 and 10,000 images of 32x32 in 10 classes.

    ``data_prefix`` is the folder of ``cifar-10-batches-py``, or that folder itself. ``img`` is uint8 ``(32, 32, 3)`` in
    **RGB** order, so configs normalize with ``to_rgb=False``. Arguments as its base class.
    """

    FOLDER: ClassVar[str] = 'cifar-10-batches-py'
    TRAIN_FILES: ClassVar[tuple[str, ...]] = tuple(f'data_batch_{i}' for i in range(1, 6))
    TEST_FILES: ClassVar[tuple[str, ...]] = ('test_batch',)
    LABEL_KEY: ClassVar[str] = 'labels'
    CLASSES: Sequence[str] | None = (
        'airplane',
        'automobile',
        'bird',
        'cat',
        'deer',
        'dog',
        'frog',
        'horse',
        'ship',
        'truck',
    )

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the batches of the split."""
        names = self.TEST_FILES if self.test_mode else self.TRAIN_FILES
        folder = Path(self.data_prefix)
        folder = folder / self.FOLDER if (folder / self.FOLDER).is_dir() else folder
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise missing_files(f'{type(self).__name__} (python version)', str(folder), missing)
        batches = [read_batch(folder / name) for name in names]
        if any(self.LABEL_KEY not in batch for batch in batches):
            raise DataError(f"{folder} does not hold {type(self).__name__}: its files have no '{self.LABEL_KEY}'")
        pixels = np.concatenate([batch['data'] for batch in batches])
        labels = np.concatenate([np.asarray(batch[self.LABEL_KEY], np.int64) for batch in batches])
        return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


@DATASETS.register_module()
class CIFAR100(CIFAR10):
    """CIFAR-100: 100 classes (the fine labels), in the folder ``cifar-100-python``. Arguments as its base class."""

    FOLDER = 'cifar-100-python'
    TRAIN_FILES = ('train',)
    TEST_FILES = ('test',)
    LABEL_KEY = 'fine_labels'
    CLASSES = (
        'apple', 'aquarium_fish', 'baby', 'bear', 'beaver', 'bed', 'bee', 'beetle', 'bicycle', 'bottle', 'bowl',
        'boy', 'bridge', 'bus', 'butterfly', 'camel', 'can', 'castle', 'caterpillar', 'cattle', 'chair',
        'chimpanzee', 'clock', 'cloud', 'cockroach', 'couch', 'crab', 'crocodile', 'cup', 'dinosaur', 'dolphin',
        'elephant', 'flatfish', 'forest', 'fox', 'girl', 'hamster', 'house', 'kangaroo', 'keyboard', 'lamp',
        'lawn_mower', 'leopard', 'lion', 'lizard', 'lobster', 'man', 'maple_tree', 'motorcycle', 'mountain',
        'mouse', 'mushroom', 'oak_tree', 'orange', 'orchid', 'otter', 'palm_tree', 'pear', 'pickup_truck',
        'pine_tree', 'plain', 'plate', 'poppy', 'porcupine', 'possum', 'rabbit', 'raccoon', 'ray', 'road', 'rocket',
        'rose', 'sea', 'seal', 'shark', 'shrew', 'skunk', 'skyscraper', 'snail', 'snake', 'spider', 'squirrel',
        'streetcar', 'sunflower', 'sweet_pepper', 'table', 'tank', 'telephone', 'television', 'tiger', 'tractor',
        'train', 'trout', 'tulip', 'turtle', 'wardrobe', 'whale', 'willow_tree', 'wolf', 'woman', 'worm',
    )  # fmt: skip
