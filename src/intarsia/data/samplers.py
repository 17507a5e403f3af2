"""The order of samples. Every order is a function of (seed, epoch); ranks take turns in it."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np

from intarsia.core.registries import SAMPLERS
from intarsia.data.seeding import generator_for

_ORDER = 0xFFFFFFFF
"""Position that no sample has: its stream draws the order of an epoch."""


class Sampler:
    """Orders the samples of a data set.

    Args:
        dataset: What is ordered; only its length matters.
        seed: Seed of the run.
        rank: This process among
        world_size: all that share the samples.
        pad: Repeat the first samples until every rank has equally many (training); without it no sample comes twice
            (evaluation).
    """

    def __init__(self, dataset: Sized, seed: int = 0, rank: int = 0, world_size: int = 1, pad: bool = True) -> None:
        self.dataset = dataset
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.pad = pad

    def order(self, epoch: int) -> np.ndarray:
        """int64 ``(num_samples,)``: indices of all samples of an epoch, over all ranks."""
        raise NotImplementedError(f'{type(self).__name__} has no order(epoch)')

    def num_ordered(self) -> int:
        """Length of :meth:`order`."""
        return len(self.dataset)

    def positions(self) -> range:
        """Positions in the (padded) order that this rank takes."""
        total = self.num_ordered()
        if self.pad:
            total = -(-total // self.world_size) * self.world_size
        return range(self.rank, total, self.world_size)

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        return len(self.positions())


@SAMPLERS.register_module()
class SequentialSampler(Sampler):
    """As they come."""

    def order(self, epoch: int) -> np.ndarray:
        """``0 ... n-1``."""
        return np.arange(len(self.dataset))


@SAMPLERS.register_module()
class RandomSampler(Sampler):
    """A new permutation every epoch."""

    def order(self, epoch: int) -> np.ndarray:
        """A permutation drawn from (seed, epoch)."""
        return generator_for(self.seed, epoch, _ORDER).permutation(len(self.dataset))
