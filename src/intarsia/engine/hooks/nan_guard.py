"""The hook that notices a loss which is not a number any more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch

from intarsia.core.errors import IntarsiaError
from intarsia.core.registries import HOOKS
from intarsia.engine.distributed import gather
from intarsia.engine.hook import Hook
from intarsia.engine.rollback import newest_finite, restore_weights

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


class NonFiniteLossError(IntarsiaError):
    """The loss of a training became NaN or infinite."""


class Seen(NamedTuple):
    """An iteration that has been seen; all numbers count from 0."""

    log_vars: Mapping[str, Any]
    iter: int
    epoch: int
    inner_iter: int
    loader: Any


@HOOKS.register_module()
class NanGuardHook(Hook):
    """Stops a training whose loss becomes NaN or infinite, or takes it back to its last good checkpoint.

    Losses are looked at together every ``interval`` iterations, at the end of epochs and before a checkpoint is
    written, so that training never waits for the device in between. The seat is ABOVE_NORMAL, after the update. Only
    losses count: with float16, single gradients that are not finite are skipped by the loss scaling.

    Args:
        action: What to do: ``'stop'`` the run with an error that names the iteration, the losses and the samples; or
            ``'rollback'``: take weights, their averages and the optimizer's state from the newest checkpoint before
            that iteration, and go on with the next batch. Learning rate, loss scale and best scores stay.
        interval: Iterations between two looks.
        max_rollbacks: How often a run may go back before it stops after all.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(
        self, action: Literal['stop', 'rollback'] = 'stop', interval: int = 50, max_rollbacks: int = 3
    ) -> None:
        if action not in ('stop', 'rollback'):
            raise ValueError(f"action must be 'stop' or 'rollback', not {action!r}")
        if interval < 1:
            raise ValueError(f'interval must be positive, not {interval}')
        self.action = action
        self.interval = interval
        self.max_rollbacks = max_rollbacks
        self.num_rollbacks = 0
        self._waiting: list[tuple[Any, ...]] = []

    def state_dict(self) -> dict[str, Any]:
        """How often the run has gone back."""
        return {'num_rollbacks': self.num_rollbacks} if self.num_rollbacks else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back :meth:`state_dict`."""
        self.num_rollbacks = int(state['num_rollbacks'])

    # ------------------------------------------------------------------ stages

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Remember the losses, and look at them if it is time."""
        waiting = self._waiting
        waiting.append(  # not a Seen yet: making one takes longer
            (runner.outputs['log_vars'], runner.iter, runner.epoch, runner.inner_iter, runner.data_loader)
        )
        if len(waiting) >= self.interval:
            self._look(runner)

    def after_train_epoch(self, runner: BaseRunner) -> None:
        """Look at what is left of the epoch."""
        self._look(runner)

    def before_save_checkpoint(self, runner: BaseRunner) -> None:
        """Let no run that will be stopped write bad weights first."""
        if self.action == 'stop':
            self._look(runner)

    # ------------------------------------------------------------------ looking

    def _look(self, runner: BaseRunner) -> None:
        waiting, self._waiting = self._waiting, []
        bad = first_non_finite(waiting)
        found = [number for number in gather(bad.iter if bad else None) if number is not None]
        if not found:
            return
        first = min(found)
        message = self._describe(bad) if bad else f'the loss of another process is not finite at iteration {first + 1}'
        if self.action == 'stop' or self.num_rollbacks >= self.max_rollbacks:
            raise NonFiniteLossError(f'{message}. {self._advice(runner, first)}')
        self._roll_back(runner, first, message)

    def _roll_back(self, runner: BaseRunner, first: int, message: str) -> None:
        checkpoint = newest_finite(runner, first)
        if checkpoint is None:
            raise NonFiniteLossError(f'{message}, and there is no checkpoint from before to go back to.')
        self.num_rollbacks += 1
        restore_weights(runner, checkpoint)
        runner.logger.warning(
            f'{message}; going back to the weights of {checkpoint} '
            f'({self.num_rollbacks} of {self.max_rollbacks} times), and on with the next batch'
        )

    def _describe(self, bad: Seen) -> str:
        values = ', '.join(f'{name} {value}' for name, value in _losses(bad.log_vars) if not math.isfinite(value))
        samples = sample_indices(bad.loader, bad.epoch, bad.inner_iter)
        place = f'iteration {bad.iter + 1} (epoch {bad.epoch + 1}, batch {bad.inner_iter + 1})'
        return f'the loss is not finite at {place}: {values}' + (f'; samples {_some(samples)}' if samples else '')

    def _advice(self, runner: BaseRunner, first: int) -> str:
        checkpoint = newest_finite(runner, first)
        kept = f'The last good checkpoint is {checkpoint}. ' if checkpoint else ''
        again = '' if self.num_rollbacks == 0 else f'The run has gone back {self.num_rollbacks} times. '
        return (
            f'{kept}{again}Causes are a learning rate that is too high (lower it, warm up, clip gradients: '
            "optimizer_config = dict(grad_clip=dict(max_norm=1))) and broken samples; NanGuardHook(action='rollback') "
            'goes on without them.'
        )


def first_non_finite(waiting: list[tuple[Any, ...]]) -> Seen | None:
    """The first of these :class:`Seen` one of whose losses is not finite; without one the device is waited for once."""
    totals = [log_vars.get('loss') for log_vars, *_ in waiting]
    tensors = [total for total in totals if isinstance(total, torch.Tensor)]
    if not waiting or (len(tensors) == len(totals) and torch.stack(tensors).isfinite().all()):
        return None
    return next((seen for seen in map(Seen._make, waiting) if not _is_finite(seen.log_vars)), None)


def _is_finite(log_vars: Mapping[str, Any]) -> bool:
    return all(math.isfinite(value) for _, value in _losses(log_vars))


def sample_indices(loader: Any, epoch: int, batch: int) -> list[int]:
    """Indices in the data set of the samples of a batch; none if the loader does not tell its order."""
    sampler: Any = getattr(loader, 'sampler', None)
    if not hasattr(sampler, 'positions') or not hasattr(sampler, 'order'):
        return []
    order = sampler.order(epoch)
    size = loader.batch_size
    return [int(order[place % len(order)]) for place in sampler.positions()[batch * size : (batch + 1) * size]]


def _losses(log_vars: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(name, float(value)) for name, value in log_vars.items() if 'loss' in name]


def _some(numbers: list[int], count: int = 64) -> str:
    rest = len(numbers) - count
    return ', '.join(map(str, numbers[:count])) + (f' and {rest} more' if rest > 0 else '')
