"""Files with the features of one stream.

Shapes: t positions, c channels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from intarsia.core.errors import BrokenFileError
from intarsia.data.transforms.image_transform import Array

FEATURE_SUFFIXES = frozenset({'.csv', '.npy', '.npz'})
"""Endings of files with features."""


def read_table(file: str | Path) -> Array:
    """The numbers of a CSV file with one line of column names, float32 ``(rows, columns)``.

    Raises:
        BrokenFileError: It is missing, or no such table.
    """
    try:
        return np.loadtxt(file, dtype=np.float32, delimiter=',', skiprows=1, ndmin=2)
    except (OSError, ValueError) as error:
        raise BrokenFileError(f'{file} cannot be read as numbers below one line of names: {error}') from error


def read_features(file: str | Path) -> Array:
    """Features of a stream, float32 ``(T, C)``: one row for each position.

    Args:
        file: CSV with one line of names; ``.npy``; or ``.npz``, of which the first array of two axes is taken.

    Raises:
        BrokenFileError: It is missing, or holds no such array.
    """
    suffix = Path(file).suffix.lower()
    if suffix not in ('.npy', '.npz'):
        return read_table(file)
    try:
        content = np.load(file)
        arrays = [content[name] for name in content.files] if suffix == '.npz' else [content]
    except (OSError, ValueError) as error:
        raise BrokenFileError(f'{file} cannot be read as arrays: {error}') from error
    feat_tc = next((each for each in arrays if each.ndim == 2), None)
    if feat_tc is None:
        raise BrokenFileError(f'{file} holds no array (positions, channels), but {[each.shape for each in arrays]}')
    return feat_tc.astype(np.float32)
