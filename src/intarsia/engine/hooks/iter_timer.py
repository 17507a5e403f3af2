"""Times of iterations and of waiting for data."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Logs ``time``, seconds from one iteration's end to the next, and ``data_time``, the part before the forward."""

    def before_epoch(self, runner: BaseRunner) -> None:
        """Start the clock."""
        self.since = perf_counter()

    def before_iter(self, runner: BaseRunner) -> None:
        """The batch has arrived."""
        buffer = runner.log_buffer
        buffer.val_history['data_time'].append(perf_counter() - self.since)
        buffer.n_history['data_time'].append(1)

    def after_iter(self, runner: BaseRunner) -> None:
        """The iteration is over."""
        now = perf_counter()
        buffer = runner.log_buffer
        buffer.val_history['time'].append(now - self.since)
        buffer.n_history['time'].append(1)
        self.since = now
