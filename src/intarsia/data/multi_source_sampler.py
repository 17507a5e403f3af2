"""Batches with a fixed part of samples from each of several data sets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from intarsia.core.registries import SAMPLERS
from intarsia.data.samplers import Sampler
from intarsia.data.seeding import generator_for

_ORDER = 0xFFFFFFFE
"""Position that no sample has, less one for each data set: its streams draw the orders of their passes."""


@SAMPLERS.register_module()
class MultiSourceSampler(Sampler):
    """In each batch of each rank, first so many samples of the first data set, then of the next.

    Each data set is gone through in an order of its own, again and again, an epoch where the last one stopped.

    Args:
        dataset: With ``datasets``, as ConcatDataset and CombinedDataset have them.
        batch_size: Samples of a batch.
        source_ratio: What part of a batch each data set has; only their quotients matter. Rounded down, the first one
            has the rest.
        shuffle: Whether each pass has a new order.
        seed: Seed of the run.
        rank: This process among
        world_size: all that share the samples.
        pad: As of :class:`~intarsia.data.samplers.Sampler`.

    Raises:
        ValueError: There are other than as many numbers as data sets, or a data set is empty.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        source_ratio: Sequence[float],
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        pad: bool = True,
    ) -> None:
        super().__init__(dataset, seed, rank, world_size, pad)
        self.counts: Sequence[int] = getattr(dataset, 'counts', None) or [len(each) for each in dataset.datasets]
        if len(source_ratio) != len(self.counts) or not all(self.counts):
            raise ValueError(
                f'source_ratio {list(source_ratio)} is not one for each of data sets of {self.counts} samples'
            )
        self.batch_size, self.shuffle = batch_size, shuffle
        self.num_per_source = [int(batch_size * ratio / sum(source_ratio)) for ratio in source_ratio]
        self.num_per_source[0] = batch_size - sum(self.num_per_source[1:])

    def order(self, epoch: int) -> np.ndarray:
        """Batches of all ranks side by side, as they take turns."""
        source_of_place = np.repeat(np.arange(len(self.counts)), self.num_per_source)
        sources = source_of_place[np.arange(self.num_ordered()) // self.world_size % self.batch_size]
        starts = [0, *accumulate(self.counts)]
        order = np.empty(len(sources), np.int64)
        for source, start in enumerate(starts[:-1]):
            places = np.flatnonzero(sources == source)
            order[places] = start + self._drawn(source, epoch * len(places), len(places))
        return order

    def _drawn(self, source: int, first: int, count: int) -> np.ndarray:
        """Samples of a data set, number ``first`` and those after it of all that are ever drawn."""
        length = self.counts[source]
        passes = range(first // length, (first + count - 1) // length + 1) if count else ()
        orders = [
            generator_for(self.seed, each, _ORDER - source).permutation(length) if self.shuffle else np.arange(length)
            for each in passes
        ]
        return np.concatenate(orders)[first % length :][:count] if orders else np.zeros(0, np.int64)
