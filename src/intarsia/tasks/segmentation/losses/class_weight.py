"""Weights of the classes, written in a config or read from a file."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

ARRAY_PARTS = {'_reconstruct', '_frombuffer', 'ndarray', 'dtype', 'scalar'}
"""What a pickled NumPy array is made of."""


def read_class_weight(class_weight: Sequence[float] | str | None) -> Tensor | None:
    """One factor per class.

    Args:
        class_weight: The numbers, or a ``.npy``, ``.json``, ``.yaml``, ``.yml``, ``.pkl`` or ``.pickle`` file with a
            list of them; None stays None.

    Returns:
        Float32 ``(C,)``, or None.

    Raises:
        ValueError: The file has another suffix, or what is given is no list of numbers.
        FileNotFoundError: There is no such file.
    """
    if class_weight is None:
        return None
    values = _read(Path(class_weight)) if isinstance(class_weight, str) else class_weight
    try:
        weight_c = torch.tensor(np.asarray(values, np.float32))
    except (TypeError, ValueError) as error:
        raise ValueError(f'class_weight is not a list of numbers: {class_weight!r}') from error
    if weight_c.dim() != 1 or not len(weight_c):
        raise ValueError(f'class_weight is not a list of numbers, one a class: {class_weight!r}')
    return weight_c


def _read(file: Path) -> Any:
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f'class_weight={str(file)!r}: the file should end with one of {", ".join(READERS)}')
    return reader(file.read_bytes())


def _from_npy(content: bytes) -> np.ndarray:
    return np.load(io.BytesIO(content), allow_pickle=False)


def _from_pickle(content: bytes) -> Any:
    return _NumbersOnly(io.BytesIO(content)).load()


class _NumbersOnly(pickle.Unpickler):
    """Reads numbers, lists and arrays; a pickle may otherwise run any code."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split('.')[0] == 'numpy' and name in ARRAY_PARTS:
            return super().find_class(module, name)
        raise ValueError(f'the pickle holds a {module}.{name}; class weights are numbers, lists or arrays')


READERS: dict[str, Callable[[bytes], Any]] = {
    '.npy': _from_npy,
    '.json': json.loads,
    '.yaml': yaml.safe_load,
    '.yml': yaml.safe_load,
    '.pkl': _from_pickle,
    '.pickle': _from_pickle,
}
"""Suffix of a file -> how its content is read."""
