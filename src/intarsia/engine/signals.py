"""Ending a run cleanly when the system asks for it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

STOPPING = tuple(getattr(signal, name) for name in ('SIGTERM', 'SIGINT', 'SIGUSR1') if hasattr(signal, name))


class StopRequest:
    """Which signal asked the run to stop; None if none did."""

    def __init__(self) -> None:
        self.signal: int | None = None


@contextlib.contextmanager
def stop_on_signals(runner: BaseRunner) -> Iterator[StopRequest]:
    """Let the first of SIGTERM, SIGINT and SIGUSR1 end ``runner`` after the running iteration.

    A second one acts as usual. Outside the main thread, where signals cannot be caught, nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, frame: FrameType | None) -> None:
        runner.logger.warning(f'{signal.Signals(number).name}: stopping after this iteration')
        request.signal = number
        runner.request_stop()
        signal.signal(number, previous[number])

    previous = {number: signal.signal(number, handle) for number in STOPPING}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
