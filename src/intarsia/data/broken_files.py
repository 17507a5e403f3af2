"""Which samples training could not read: told once each, counted over all worker processes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import torch

from intarsia.core.errors import BrokenFileError

_log = logging.getLogger('intarsia')


class BrokenFiles:
    """The broken samples of one data set.

    Args:
        num_samples: Of the data set.
    """

    def __init__(self, num_samples: int) -> None:
        self._is_broken = torch.zeros(num_samples, dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        return int(self._is_broken.sum())

    def add(self, index: int, error: BrokenFileError) -> None:
        """Note a sample; the first time, in whatever process, say what is wrong with it."""
        if not self._is_broken[index]:
            self._is_broken[index] = True
            _log.warning('%s; another sample takes its place', error)


def broken_files_of(dataset: Any) -> Iterator[BrokenFiles]:
    """Those of a data set, or of the data sets that it is made of."""
    if isinstance(getattr(dataset, 'broken_files', None), BrokenFiles):
        yield dataset.broken_files
    for inner in getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]:
        if inner is not None:
            yield from broken_files_of(inner)


def say_count(dataset: Any) -> None:
    """Say how many samples could not be read so far, if there are any."""
    count = sum(map(len, broken_files_of(dataset)))
    if count:
        _log.warning('%d samples could not be read so far; others took their places', count)
