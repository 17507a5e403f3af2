"""What every logging hook shares: when a record is due and what it says about the run."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch

from intarsia.core.errors import IntarsiaError
from intarsia.engine.hook import Hook
from intarsia.engine.stage import Stage

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


class LoggerHook(Hook):
    """Logs ``runner.log_buffer.output`` whenever it is ready; a subclass implements :meth:`log`. Seat VERY_LOW.

    Of several processes only the first one logs.

    Args:
        interval: Iterations between two records.
        ignore_last: Leave out the iterations of an epoch that do not fill an interval.
        reset_flag: Clear the record after logging it. The last logger of a run does so anyway.
        by_epoch: Whether records count epochs; None counts what the runner counts.
    """

    def __init__(
        self, interval: int = 10, ignore_last: bool = True, reset_flag: bool = False, by_epoch: bool | None = None
    ) -> None:
        self.interval = interval
        self.ignore_last = ignore_last
        self.reset_flag = reset_flag
        self.by_epoch = by_epoch

    def log(self, runner: BaseRunner) -> None:
        """Send ``runner.log_buffer.output`` to where this hook logs."""
        raise NotImplementedError(f'{type(self).__name__} has no log(runner)')

    # ------------------------------------------------------------------ stages

    def before_run(self, runner: BaseRunner) -> None:
        """The last logger clears the record for all."""
        if self.by_epoch is None:
            self.by_epoch = runner.by_epoch
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self.reset_flag = self.reset_flag or loggers[-1] is self

    def before_epoch(self, runner: BaseRunner) -> None:
        """Start an empty history, unless an interrupted epoch goes on."""
        if runner.by_epoch and runner.inner_iter == 0:
            runner.log_buffer.clear()

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Log, if it is due."""
        buffer = runner.log_buffer
        if self.is_due(runner):
            buffer.average(self.interval)
        if buffer.ready:
            self._log_and_clear(runner)

    def after_train_epoch(self, runner: BaseRunner) -> None:
        """Log what the evaluation left."""
        if runner.log_buffer.ready:
            self._log_and_clear(runner)

    def after_val_epoch(self, runner: BaseRunner) -> None:
        """Log the means of a validation epoch."""
        runner.log_buffer.average()
        self._log_and_clear(runner)

    def is_due(self, runner: BaseRunner) -> bool:
        """Whether the iteration that ends completes a record."""
        if self.by_epoch:
            every = self.every_n_inner_iters(runner, self.interval)
        else:
            every = self.every_n_iters(runner, self.interval)
        return every or (not self.ignore_last and self.end_of_epoch(runner))

    def _log_and_clear(self, runner: BaseRunner) -> None:
        if runner.rank == 0:
            self.log(runner)
        if self.reset_flag:
            runner.log_buffer.clear_output()

    # ------------------------------------------------------------------ what a record says

    def get_mode(self, runner: BaseRunner) -> str:
        """``'train'`` for a record of training iterations, else ``'val'``."""
        return 'train' if runner.mode == 'train' and 'time' in runner.log_buffer.output else 'val'

    def get_epoch(self, runner: BaseRunner) -> int:
        """The epoch a record belongs to, from 1."""
        begun = runner.mode == 'train' and runner.stage not in (Stage.BEFORE_TRAIN_EPOCH, Stage.BEFORE_EPOCH)
        return runner.epoch + begun

    def get_iter(self, runner: BaseRunner, inner_iter: bool = False) -> int:
        """The iteration of a record, from 1; within the epoch if ``inner_iter`` and epochs count."""
        return runner.inner_iter + 1 if self.by_epoch and inner_iter else runner.progress.iter

    def get_lr(self, runner: BaseRunner) -> Any:
        """Learning rate of the first parameter group (by optimizer, if there are several)."""
        lr = runner.current_lr()
        return {k: v[0] for k, v in lr.items()} if isinstance(lr, dict) else lr[0] if lr else 0.0

    def scalars(self, runner: BaseRunner) -> dict[str, float]:
        """The numbers of a record by tag: ``train/loss``, ``val/accuracy_top-1``, ``learning_rate``, ``momentum``.

        Those of several optimizers are ``learning_rate/NAME`` and ``momentum/NAME``.
        """
        mode = self.get_mode(runner)
        skipped = ('time', 'data_time', 'eval_iter_num')
        tags = {
            f'{mode}/{k}': v
            for k, v in runner.log_buffer.output.items()
            if k not in skipped and isinstance(v, (int, float))
        }
        for name, values in (('learning_rate', runner.current_lr()), ('momentum', runner.current_momentum())):
            if isinstance(values, dict):
                tags.update({f'{name}/{key}': groups[0] for key, groups in values.items()})
            elif values:
                tags[name] = values[0]
        return tags


def import_tracker(module: str, extra: str) -> Any:
    """The module of a library that runs are logged with.

    Args:
        module: Dotted name.
        extra: Extra of this package that installs it.

    Raises:
        IntarsiaError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition('.')[0]
        raise IntarsiaError(f"logging to {name} needs it installed: pip install 'intarsia[{extra}]'") from error


def log_now(runner: BaseRunner) -> None:
    """Let the loggers log what is ready, outside their own stages."""
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            hook.after_train_epoch(runner)


def log_pending(runner: BaseRunner) -> None:
    """Let the loggers log a record of training that is due, before something else fills the buffer."""
    loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
    for hook in loggers:
        hook.after_train_iter(runner)
    if any(hook.is_due(runner) for hook in loggers):
        runner.log_buffer.clear()


def peak_memory_mb() -> int | None:
    """Most memory the current GPU has held, in MiB; None without one."""
    return torch.cuda.max_memory_allocated() >> 20 if torch.cuda.is_initialized() else None
