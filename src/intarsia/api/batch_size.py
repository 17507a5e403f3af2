"""The largest batch that can be trained in the memory there is, found by training."""

from __future__ import annotations

import dataclasses
import gc
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from intarsia.api.assemble import make_strategy, place_model, set_up_process, update_config
from intarsia.api.data import build_loader
from intarsia.api.models import build_model
from intarsia.api.place import Place, find_place
from intarsia.api.tasks import find_task, ready
from intarsia.config.file import ConfigFile
from intarsia.config.schema import RunConfig, to_run_config
from intarsia.core import registries
from intarsia.core.errors import ConfigError, Problem
from intarsia.engine.update import Update
from intarsia.optim.build import build_optimizer

WARM_UP, TIMED = 2, 3
"""Steps of a trial. Optimizers make their state in the first, so that the second is the one that takes most."""

PEAK = re.compile(r'^VmHWM:\s+(\d+) kB', re.M)


def find_batch_size(try_step: Callable[[int], float | None], limit: int) -> tuple[int, dict[int, float | None]]:
    """Double a batch size until it does not fit, then halve the gap.

    Args:
        try_step: Trains batches of a size: images a second, or None if it does not fit.
        limit: Largest size that is tried, at least 1.

    Returns:
        The largest size that fits, 0 if none does; and what came of every size, in the order they were tried.
    """
    tried: dict[int, float | None] = {}

    def fits(size: int) -> bool:
        tried[size] = try_step(size)
        return tried[size] is not None

    fitting, size = 0, min(2, limit)
    while size > fitting and fits(size):
        fitting, size = size, min(2 * size, limit)
    too_large = max(size, fitting + 1)
    while too_large - fitting > 1:
        middle = (fitting + too_large) // 2
        if fits(middle):
            fitting = middle
        else:
            too_large = middle
    return fitting, tried


def largest_batch(
    config: ConfigFile, limit: int = 4096, memory_mb: int | None = None
) -> tuple[int, dict[int, float | None]]:
    """Find the largest ``data.samples_per_gpu`` with which a config can be trained on its device.

    Args:
        config: As read. Its model is trained for a few steps, with the optimizer, precision and memory order it has.
        limit: As in :func:`find_batch_size`.
        memory_mb: Memory that may be used, in MiB: of a GPU, or by this process as a whole on the CPU, where it is
            needed: there an excess is no error but an end, so it is measured, and one trial goes beyond it.

    Returns:
        As :func:`find_batch_size`.

    Raises:
        ConfigError: The config has mistakes; it is for the CPU, and ``memory_mb`` is missing or cannot be measured;
            or several processes were started.
    """
    run = to_run_config(ready(config).values)
    missing = [name for name in ('optimizer', 'data.train') if _at(run, name) is None]
    if missing:
        raise ConfigError([Problem('missing-field', f"a step of training needs '{name}'.", name) for name in missing])
    place = find_place(run)
    if place.world.size > 1:
        message = 'the largest batch is that of one process; start only one.'
        raise ConfigError(Problem('bad-config', message, 'launcher', suggestion='none'))
    memory = _memory(place.device, memory_mb)
    return find_batch_size(Trial(run, place, memory), limit)


def _at(run: RunConfig, path: str) -> Any:
    value: Any = run
    for name in path.split('.'):
        value = getattr(value, name)
    return value


# ---------------------------------------------------------------------- training a few steps


class Trial:
    """Trains batches of any size and says how fast it goes.

    Args:
        run: The config.
        place: Its device.
        memory: Says whether memory was enough.
    """

    def __init__(self, run: RunConfig, place: Place, memory: Memory) -> None:
        set_up_process(run)
        task = find_task(run.model, run.task)
        alone = {**run.data.train_dataloader, 'workers_per_gpu': 0}
        data = dataclasses.replace(run.data, train_dataloader=alone)
        loader = build_loader(dataclasses.replace(run, data=data), 'train', task, place, run.seed or 0)
        self.batch: Mapping[str, Any] = next(iter(loader))
        self.model = place_model(build_model(run.model, task=run.task), run, place)
        self.num_samples = len(self.batch[self.model.input_key])
        self.strategy = make_strategy(self.model, run, place)
        assert run.optimizer is not None
        optimizer = build_optimizer(self.model, run.optimizer)
        self.optimizer = optimizer
        self.optimizers = list(optimizer.values()) if isinstance(optimizer, dict) else [optimizer]
        self.update = _update(run)
        self.averages = [p.detach().clone() for p in self.model.parameters()] if run.ema is not None else []
        self.memory = memory
        self.device = place.device

    def __call__(self, size: int) -> float | None:
        """Images a second in batches of ``size``; None if there is too little memory."""
        self.memory.reset()
        seconds = self._seconds(size)
        self._let_go()
        return size * TIMED / seconds if seconds is not None and self.memory.was_enough() else None

    def _seconds(self, size: int) -> float | None:
        try:
            batch = self._batch_of(size)
            for _ in range(WARM_UP):
                self._step(batch)
            start = self._now()
            for _ in range(TIMED):
                self._step(batch)
            return self._now() - start
        except RuntimeError as error:
            if 'out of memory' not in str(error).lower():  # not every backend has OutOfMemoryError
                raise
            return None

    def _step(self, batch: Mapping[str, Any]) -> None:
        outputs = self.strategy.train_step(batch, self.optimizer)
        if self.update is not None:
            self.update(outputs['loss'], self.optimizers, self.model)

    def _batch_of(self, size: int) -> dict[str, Any]:
        """The batch, repeated or cut."""
        order = [i % self.num_samples for i in range(size)]
        return {key: self._taken(value, order) for key, value in self.batch.items()}

    def _taken(self, value: Any, order: list[int]) -> Any:
        if isinstance(value, torch.Tensor) and value.ndim and len(value) == self.num_samples:
            layout = torch.channels_last if value.ndim == 4 and _is_channels_last(value) else torch.contiguous_format
            return value[torch.tensor(order, device=value.device)].contiguous(memory_format=layout)
        is_list = isinstance(value, list) and len(value) == self.num_samples
        return [value[i] for i in order] if is_list else value

    def _now(self) -> float:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _let_go(self) -> None:
        """Free what an unfinished step has left."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        gc.collect()
        if self.device.type == 'cuda':
            torch.cuda.empty_cache()


def _is_channels_last(value: torch.Tensor) -> bool:
    return value.is_contiguous(memory_format=torch.channels_last) and not value.is_contiguous()


def _update(run: RunConfig) -> Update | None:
    """The update of the run; None for a model that updates itself."""
    node = update_config(run)
    if node is None:
        return None
    hook = registries.HOOKS.build({'type': 'OptimizerHook', **node})
    return getattr(hook, 'update', None) or Update()


# ---------------------------------------------------------------------- memory


class Memory:
    """Memory that runs out with an error, as that of GPUs does."""

    def reset(self) -> None:
        """A trial begins."""

    def was_enough(self) -> bool:
        """Whether it was enough for the trial."""
        return True


class MeasuredMemory(Memory):
    """What this process takes at most, as Linux counts it.

    Args:
        limit_mb: What it may take, in MiB.
    """

    def __init__(self, limit_mb: int) -> None:
        self.limit_mb = limit_mb

    def reset(self) -> None:
        """Count from here on."""
        Path('/proc/self/clear_refs').write_text('5', encoding='ascii')

    def peak_mb(self) -> float:
        """The most since :meth:`reset`, in MiB."""
        found = PEAK.search(Path('/proc/self/status').read_text(encoding='ascii'))
        if found is None:
            raise OSError('/proc/self/status has no VmHWM')
        return int(found[1]) / 1024

    def was_enough(self) -> bool:
        """Whether the peak stayed below the limit."""
        return self.peak_mb() <= self.limit_mb


def _memory(device: torch.device, limit_mb: int | None) -> Memory:
    if device.type == 'cuda':
        if limit_mb is not None:
            total = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(limit_mb * 2**20 / total, 1.0), device)
        return Memory()
    if device.type != 'cpu':
        return Memory()
    if limit_mb is None:
        message = 'on the CPU nothing says when memory is short before the system ends the process: give --memory-mb.'
        raise ConfigError(Problem('bad-config', message, 'device'))
    memory = MeasuredMemory(limit_mb)
    try:
        memory.reset()
        memory.peak_mb()
    except OSError as error:
        message = f'this system does not tell how much memory the process has taken: {error}.'
        raise ConfigError(Problem('bad-config', message, 'device')) from error
    return memory
