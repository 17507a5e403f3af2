"""MNIST and Fashion-MNIST: grey images in idx files."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.tasks.classification.datasets.array_dataset import ArrayDataset, missing_files

_OF_BYTES = b'\0\0\x08'
"""How an idx file of unsigned bytes begins; the number of axes follows."""


def read_idx(file: Path) -> np.ndarray:
    """Read an idx file of bytes, plain or ``.gz``.

    Returns:
        uint8, of the shape in the file's header.

    Raises:
        DataError: The file is truncated or of another kind.
    """
    try:
        raw = gzip.decompress(file.read_bytes()) if file.suffix == '.gz' else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f'{file} cannot be read: {error}') from error
    if len(raw) < 4 or raw[:3] != _OF_BYTES or len(raw) < 4 + 4 * raw[3]:
        raise DataError(f'{file} is not an idx file of bytes')
    num_axes = raw[3]
    shape = struct.unpack_from(f'>{num_axes}I', raw, 4)
    start = 4 + 4 * num_axes
    if len(raw) - start != int(np.prod(shape)):
        raise DataError(f'{file} is truncated: {len(raw) - start} bytes of data, its header says {int(np.prod(shape))}')
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


@DATASETS.register_module()
class MNIST(ArrayDataset):
    """Handwritten digits (LeCun et al., 1998): 60,000 and 10,000 grey images of 28x28.

    ``data_prefix`` holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same with ``t10k``, plain or
    with ``.gz``; ``test_mode`` takes the latter. ``img`` is uint8 ``(28, 28)``. Arguments as its base class.
    """

    CLASSES = (
        '0 - zero', '1 - one', '2 - two', '3 - three', '4 - four',
        '5 - five', '6 - six', '7 - seven', '8 - eight', '9 - nine',
    )  # fmt: skip

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Read both files of the split."""
        split = 't10k' if self.test_mode else 'train'
        names = [f'{split}-images-idx3-ubyte', f'{split}-labels-idx1-ubyte']
        folder = Path(self.data_prefix)
        found = [next((f for f in (folder / n, folder / f'{n}.gz') if f.is_file()), None) for n in names]
        missing = [f'{n}[.gz]' for n, file in zip(names, found, strict=True) if file is None]
        if missing:
            raise missing_files(type(self).__name__, self.data_prefix, missing)
        images, labels = (read_idx(file) for file in found if file is not None)
        if images.ndim != 3 or labels.ndim != 1:
            raise DataError(f'{found[0]} and {found[1]} have {images.ndim} and {labels.ndim} axes instead of 3 and 1')
        return images, labels


@DATASETS.register_module()
class FashionMNIST(MNIST):
    """Clothes (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747), in the format of MNIST.

    ``data_prefix='intarsia::fashion_mnist'`` is the part that travels with the package: 6,000 and 1,000 images.
    Arguments as its base class.
    """

    CLASSES = (
        'T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot',
    )  # fmt: skip
