"""Batches of a data set, equal for any number of workers, from any place in an epoch on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from intarsia.data.broken_files import say_count
from intarsia.data.collate import collate
from intarsia.data.device import ToDevice, split_normalize
from intarsia.data.samplers import Sampler
from intarsia.data.seeding import SampleKey
from intarsia.data.transforms.transform import Compose, seed_globals


class _KeyBatches:
    """Batches of :class:`SampleKey`, from ``first`` on; the loader's workers receive them one by one."""

    def __init__(self, sampler: Sampler, batch_size: int, drop_last: bool, seed: int) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.seed = seed
        self.epoch = 0
        self.first = 0

    def num_batches(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __len__(self) -> int:
        return max(self.num_batches() - self.first, 0)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        order, positions = self.sampler.order(self.epoch), self.sampler.positions()
        for batch in range(self.first, self.num_batches()):
            taken = positions[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [SampleKey(int(order[p % len(order)]), self.seed, self.epoch, p) for p in taken]


class _Indexed:
    """A data set of the user's own, asked for by index, with the global generators seeded for the sample."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> Any:
        seed_globals(key.generator())
        return self.dataset[key.index]


class Loader:
    """Iterates over the batches of one epoch at a time.

    Args:
        dataset: Takes a :class:`SampleKey` if its ``takes_sample_key`` says so, else an index; gives a dict.
        sampler: Orders it.
        batch_size: Samples of a batch.
        num_workers: Worker processes; 0 loads in this one.
        drop_last: Leave out a last batch that is not full.
        seed: Seed of every sample's pipeline.
        prepare: Applied to every batch in this process: transfer to the device.
        persistent_workers: Keep workers between epochs.
        prefetch_factor: Batches every worker prepares ahead.
        pin_memory: Page-locked batches, for transfers to a GPU.
        start_method: How workers start.
    """

    def __init__(
        self,
        dataset: Any,
        sampler: Sampler,
        batch_size: int = 1,
        num_workers: int = 0,
        drop_last: bool = False,
        seed: int = 0,
        prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        persistent_workers: bool = True,
        prefetch_factor: int = 2,
        pin_memory: bool = False,
        start_method: str | None = None,
    ) -> None:
        self.dataset = dataset
        source = dataset if getattr(dataset, 'takes_sample_key', False) else _Indexed(dataset)
        self.sampler = sampler
        self.prepare = prepare
        self._keys = _KeyBatches(sampler, batch_size, drop_last, seed)
        workers: dict[str, Any] = {}
        if num_workers > 0:
            workers = dict(
                persistent_workers=persistent_workers,
                prefetch_factor=prefetch_factor,
                multiprocessing_context=start_method,
                worker_init_fn=_init_worker,
            )
        self._loader = DataLoader(
            source,  # type: ignore[arg-type]  # anything with a length and items will do
            batch_sampler=self._keys,
            num_workers=num_workers,
            collate_fn=collate,
            pin_memory=pin_memory and torch.cuda.is_available(),
            **workers,
        )

    @property
    def batch_size(self) -> int:
        """Samples of a full batch."""
        return self._keys.batch_size

    @property
    def world_size(self) -> int:
        """Processes that share the samples."""
        return self.sampler.world_size

    def switch_pipeline(self, pipeline: Sequence[Mapping[str, Any]]) -> None:
        """Send samples through another pipeline, from the next iteration on.

        Args:
            pipeline: Transform nodes or callables; those of the task of the old pipeline.

        Raises:
            TypeError: The data set has no pipeline.
        """
        owner = self.dataset
        while not hasattr(owner, 'pipeline') and hasattr(owner, 'dataset'):
            owner = owner.dataset
        if not hasattr(owner, 'pipeline'):
            raise TypeError(f'{type(self.dataset).__name__} has no pipeline that could be exchanged')
        task = getattr(owner.pipeline, 'task', None)
        if isinstance(self.prepare, ToDevice):
            pipeline, self.prepare.normalize = split_normalize(pipeline, task)
        owner.pipeline = Compose(pipeline, task)
        self._loader._iterator = None  # workers that live on have copies of the old one

    def start(self, epoch: int, first: int = 0) -> None:
        """Make the next iteration that of ``epoch``, beginning with batch number ``first``."""
        self._keys.epoch, self._keys.first = epoch, first

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self._keys.num_batches()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches, prepared; after the last one the log says how many samples could not be read."""
        batches = iter(self._loader) if self.prepare is None else map(self.prepare, self._loader)
        return itertools.chain(batches, self._at_end())

    def _at_end(self) -> Iterator[dict[str, Any]]:
        say_count(self.dataset)
        yield from ()


def _init_worker(worker: int) -> None:
    """One thread a worker: they are the parallelism."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
