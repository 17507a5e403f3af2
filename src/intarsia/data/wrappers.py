"""Data sets made of data sets."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from intarsia.core.registries import DATASETS
from intarsia.data.seeding import SampleKey


def _built(dataset: Any) -> Any:
    return DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset


class DatasetWrapper(torch.utils.data.Dataset[Any]):
    """Maps indices to those of inner data sets; the seed, epoch and position of a key stay.

    A subclass implements :meth:`locate` and :meth:`__len__`.
    """

    takes_sample_key = True
    CLASSES: Sequence[str] | None = None
    PALETTE: Sequence[Sequence[int]] | None = None

    def adopt(self, dataset: Any) -> None:
        """Take over what holds for all samples of an inner data set: names and colours of classes, ignored labels."""
        for name in ('CLASSES', 'PALETTE', 'ignore_index', 'reduce_zero_label'):
            if hasattr(dataset, name):
                setattr(self, name, getattr(dataset, name))

    def locate(self, index: int) -> tuple[Any, int]:
        """The inner data set that holds a sample, and its index there."""
        raise NotImplementedError(f'{type(self).__name__} has no locate(index)')

    def __len__(self) -> int:
        raise NotImplementedError(f'{type(self).__name__} has no length')

    def __getitem__(self, key: SampleKey | int) -> Any:
        key = key if isinstance(key, SampleKey) else SampleKey(int(key), position=int(key))
        if not 0 <= key.index < len(self):
            raise IndexError(f'{key.index} of {len(self)} samples')
        dataset, index = self.locate(key.index)
        sample = dataset[key._replace(index=index) if getattr(dataset, 'takes_sample_key', False) else index]
        return {**sample, 'sample_idx': key.index} if isinstance(sample, Mapping) else sample

    def get_gt_seg_map_by_idx(self, index: int) -> np.ndarray:
        """Mask of a sample, ``(H, W)``."""
        dataset, inner = self.locate(index)
        return dataset.get_gt_seg_map_by_idx(inner)

    def get_cat_ids(self, index: int) -> list[int]:
        """Classes of a sample."""
        dataset, inner = self.locate(index)
        return dataset.get_cat_ids(inner)

    def get_gt_labels(self) -> np.ndarray:
        """Labels of all samples: int64 ``(N,)``, or ``(N, C)`` for several labels a sample."""
        located = [self.locate(i) for i in range(len(self))]
        labels = {id(d): d.get_gt_labels() for d in {id(d): d for d, _ in located}.values()}
        return np.stack([labels[id(d)][i] for d, i in located])


@DATASETS.register_module()
class RepeatDataset(DatasetWrapper):
    """Goes through a data set several times an epoch; each pass draws anew.

    Args:
        dataset: Config node, or a data set.
        times: Passes, at least 1.
    """

    def __init__(self, dataset: Any, times: int) -> None:
        if times < 1:
            raise ValueError(f'times must be at least 1, not {times}')
        self.dataset = _built(dataset)
        self.times = times
        self.adopt(self.dataset)

    def __len__(self) -> int:
        return self.times * len(self.dataset)

    def locate(self, index: int) -> tuple[Any, int]:
        """The same sample in every pass."""
        return self.dataset, index % len(self.dataset)


@DATASETS.register_module()
class ConcatDataset(DatasetWrapper):
    """Data sets one after the other.

    Args:
        datasets: Config nodes, or data sets, with the same classes.

    Raises:
        ValueError: There are none, or their classes differ.
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = [_built(dataset) for dataset in datasets]
        if not self.datasets:
            raise ValueError('ConcatDataset needs at least one data set')
        named = {tuple(d.CLASSES) for d in self.datasets if getattr(d, 'CLASSES', None) is not None}
        if len(named) > 1:
            raise ValueError(f'the data sets have different classes: {" and ".join(str(list(n)[:5]) for n in named)}')
        self.adopt(self.datasets[0])
        self.CLASSES = next(iter(named), None)
        self._ends = np.cumsum([len(d) for d in self.datasets]).tolist()

    def __len__(self) -> int:
        return self._ends[-1]

    def locate(self, index: int) -> tuple[Any, int]:
        """By the lengths of the data sets before it."""
        which = bisect.bisect_right(self._ends, index)
        return self.datasets[which], index - (self._ends[which - 1] if which else 0)


@DATASETS.register_module()
class ClassBalancedDataset(DatasetWrapper):
    """Repeats samples of rare classes.

    A class that a part f of the samples shows is repeated ``max(1, sqrt(oversample_thr / f))`` times, a sample as
    often as its rarest class asks, rounded up (LVIS, Gupta, Dollar and Girshick, 2019, arXiv:1908.03195).

    Args:
        dataset: Config node, or a data set with ``get_cat_ids``.
        oversample_thr: Part of the samples below which a class is repeated.
    """

    def __init__(self, dataset: Any, oversample_thr: float) -> None:
        self.dataset = _built(dataset)
        self.oversample_thr = oversample_thr
        self.adopt(self.dataset)
        shown = [set(self.dataset.get_cat_ids(i)) for i in range(len(self.dataset))]
        counts = Counter(c for classes in shown for c in classes)
        factor = {c: max(1.0, math.sqrt(oversample_thr / (n / len(shown)))) for c, n in counts.items()}
        times = [math.ceil(max((factor[c] for c in classes), default=1.0)) for classes in shown]
        self._indices = np.repeat(np.arange(len(shown)), times)

    def __len__(self) -> int:
        return len(self._indices)

    def locate(self, index: int) -> tuple[Any, int]:
        """Repeated samples follow each other."""
        return self.dataset, int(self._indices[index])
