"""The loop. :class:`intarsia.engine.stage.Stage` shows it in pseudo-code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from intarsia.engine.evaluation import repeats_of_last_batch
from intarsia.engine.stage import Stage

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


def train_epoch(runner: BaseRunner, loader: Any) -> None:
    """One epoch of training, from ``runner.inner_iter`` on."""
    start_flow(runner, loader, 'train')
    runner.call(Stage.BEFORE_TRAIN_EPOCH)
    for runner.inner_iter, batch in batches(loader, runner.epoch, runner.inner_iter):  # noqa: B020
        train_iter(runner, batch)
        if runner.is_stopping:
            runner.inner_iter += 1
            return
    runner.call(Stage.AFTER_TRAIN_EPOCH)
    runner.epoch += 1
    runner.inner_iter = 0


def train_iter(runner: BaseRunner, batch: Any) -> None:
    """One iteration: forward here, backward and step in the hook that updates."""
    runner.data_batch = batch
    runner.seed_step()
    runner.call(Stage.BEFORE_TRAIN_ITER)
    runner.outputs = outputs = runner.train_step(batch, runner.optimizer)
    runner.log_buffer.update(outputs['log_vars'], outputs['num_samples'])
    runner.call(Stage.AFTER_TRAIN_ITER)
    runner.data_batch = None
    runner.iter += 1


@torch.no_grad()
def val_epoch(runner: BaseRunner, loader: Any) -> None:
    """One epoch of validation losses; weights, ``runner.epoch`` and ``runner.iter`` stay as they are."""
    start_flow(runner, loader, 'val')
    runner.call(Stage.BEFORE_VAL_EPOCH)
    num_repeats = repeats_of_last_batch(runner.model, loader)
    for runner.inner_iter, batch in batches(loader, 0, 0):
        runner.data_batch = batch
        val_iter(runner)
    for _ in range(num_repeats):
        runner.val_step(batch, runner.optimizer)
    runner.call(Stage.AFTER_VAL_EPOCH)
    runner.inner_iter = 0


@torch.no_grad()
def val_iter(runner: BaseRunner) -> None:
    """One iteration of validation losses."""
    runner.call(Stage.BEFORE_VAL_ITER)
    runner.outputs = outputs = runner.val_step(runner.data_batch, runner.optimizer)
    runner.log_buffer.update(outputs['log_vars'], outputs['num_samples'])
    runner.call(Stage.AFTER_VAL_ITER)
    runner.data_batch = None


def start_flow(runner: BaseRunner, loader: Any, mode: str) -> None:
    """Set the mode of the model and what hooks see of the loader."""
    runner.mode = mode
    runner.data_loader = loader
    runner.model.train(mode == 'train')


def batches(loader: Iterable[Any], epoch: int, first: int) -> Iterator[tuple[int, Any]]:
    """Numbered batches of one epoch, from number ``first`` on.

    A loader of this package starts there; any other iterable is advanced.
    """
    start = getattr(loader, 'start', None)
    if start is not None:
        start(epoch, first)
        return enumerate(loader, first)
    numbered = enumerate(loader)
    for _ in range(first):
        next(numbered, None)
    return numbered
