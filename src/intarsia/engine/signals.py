"""Ending a run cleanly when the system asks for it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from intarsia.engine.distributed import gather
from intarsia.engine.hook import Hook
from intarsia.engine.priority import Priority

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

STOPPING = tuple(getattr(signal, name) for name in ('SIGTERM', 'SIGINT', 'SIGUSR1') if hasattr(signal, name))

AGREE_INTERVAL = 10
"""Iterations after which processes that train together tell each other whether to stop."""


class StopRequest:
    """Which signal asked the run to stop; None if none did."""

    def __init__(self) -> None:
        self.signal: int | None = None


class StopTogetherHook(Hook):
    """Processes receive a signal at different moments; they stop after the same iteration. Seat LOWEST.

    Args:
        request: Of this process; it takes over that of another.
    """

    def __init__(self, request: StopRequest) -> None:
        self.request = request

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Ask the others now and then."""
        if self.every_n_iters(runner, AGREE_INTERVAL):
            signals = [number for number in gather(self.request.signal) if number is not None]
            if signals:
                self.request.signal = signals[0]
                runner.request_stop()


@contextlib.contextmanager
def stop_on_signals(runner: BaseRunner) -> Iterator[StopRequest]:
    """Let the first of SIGTERM, SIGINT and SIGUSR1 end ``runner`` after the running iteration.

    A second one acts as usual. Outside the main thread, where signals cannot be caught, nothing changes.
    """
    request = StopRequest()
    if runner.world_size > 1:
        runner.register_hook(StopTogetherHook(request), Priority.LOWEST)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, frame: FrameType | None) -> None:
        runner.logger.warning(f'{signal.Signals(number).name}: stopping soon')
        request.signal = number
        if runner.world_size == 1:
            runner.request_stop()
        signal.signal(number, previous[number])

    previous = {number: signal.signal(number, handle) for number in STOPPING}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
