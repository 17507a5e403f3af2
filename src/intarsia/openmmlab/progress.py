"""Bars of progress and stop watches."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from multiprocessing import Pool
from time import perf_counter
from typing import Any, TextIO, TypeVar

Item = TypeVar('Item')
Tasks = Sequence[Item] | tuple[Iterable[Item], int]
"""A collection, or an iterable and how many there are in it."""

MIN_WIDTH, MAX_PART = 2, 0.6
"""Width of a bar in characters, and as a part of the terminal's."""


class TimerError(Exception):
    """A timer that does not run was asked for the time."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class Timer:
    """Measures time in seconds; a ``with`` block prints how long it took.

    Args:
        start: Whether to start at once.
        print_tmpl: Text that a ``with`` block prints, with a place for the seconds.
    """

    def __init__(self, start: bool = True, print_tmpl: str | None = None) -> None:
        self.print_tmpl = print_tmpl or '{:.3f}'
        self._started: float | None = None
        self._checked = 0.0
        if start:
            self.start()

    @property
    def is_running(self) -> bool:
        """Whether it was started."""
        return self._started is not None

    def __enter__(self) -> Timer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        sys.stdout.write(self.print_tmpl.format(self.since_last_check()) + '\n')
        self._started = None

    def start(self) -> None:
        """Start, or count :meth:`since_last_check` from now if it runs already."""
        self._checked = perf_counter()
        if self._started is None:
            self._started = self._checked

    def since_start(self) -> float:
        """Seconds since the start.

        Raises:
            TimerError: It does not run.
        """
        self._check()
        assert self._started is not None
        return self._checked - self._started

    def since_last_check(self) -> float:
        """Seconds since the start or the last call of either method.

        Raises:
            TimerError: It does not run.
        """
        before = self._checked
        self._check()
        return self._checked - before

    def _check(self) -> None:
        if self._started is None:
            raise TimerError('timer is not running')
        self._checked = perf_counter()


_TIMERS: dict[str, Timer] = {}


def check_time(timer_id: str) -> float:
    """Seconds since the last call with that name; 0 the first time."""
    if timer_id in _TIMERS:
        return _TIMERS[timer_id].since_last_check()
    _TIMERS[timer_id] = Timer()
    return 0


class ProgressBar:
    """A line that says how much is done, and when the rest will be.

    Args:
        task_num: How many tasks there are; 0 if that is not known.
        bar_width: Characters of the bar, at most 0.6 of the terminal.
        start: Whether to start the clock at once.
        file: Where to write; standard output if not given.
    """

    def __init__(self, task_num: int = 0, bar_width: int = 50, start: bool = True, file: TextIO | None = None) -> None:
        self.task_num = task_num
        self.bar_width = bar_width
        self.completed = 0
        self.file = file or sys.stdout
        if start:
            self.start()

    @property
    def terminal_width(self) -> int:
        """Characters in a line of the terminal."""
        return shutil.get_terminal_size().columns

    def start(self) -> None:
        """Start the clock."""
        empty = f'[{" " * self.bar_width}] 0/{self.task_num}, elapsed: 0s, ETA:'
        self._write(empty if self.task_num > 0 else 'completed: 0, elapsed: 0s')
        self.timer = Timer()

    def update(self, num_tasks: int = 1) -> None:
        """Say that so many more tasks are done.

        Raises:
            ValueError: Fewer than one.
        """
        if num_tasks <= 0:
            raise ValueError(f'at least one task has to be done, not {num_tasks}')
        self.completed += num_tasks
        seconds = self.timer.since_start()
        speed = self.completed / seconds if seconds > 0 else float('inf')
        if self.task_num <= 0:
            self._write(f'completed: {self.completed}, elapsed: {round(seconds)}s, {speed:.1f} tasks/s')
            return
        part = self.completed / self.task_num
        rest = int(seconds * (1 - part) / part + 0.5)
        text = f' {self.completed}/{self.task_num}, {speed:.1f} task/s, elapsed: {round(seconds)}s, ETA: {rest:5}s'
        room = min(self.terminal_width - len(text) - 3, int(self.terminal_width * MAX_PART), self.bar_width)
        width = max(room, MIN_WIDTH)
        self._write(f'\r[{">" * int(width * part):<{width}}]{text}')

    def _write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()


def track_progress(
    func: Callable[..., Any],
    tasks: Tasks[Any],
    bar_width: int = 50,
    file: TextIO | None = None,
    **kwargs: Any,
) -> list[Any]:
    """``[func(task, **kwargs) for task in tasks]`` with a bar."""
    return [func(task, **kwargs) for task in track_iter_progress(tasks, bar_width, file)]


def track_iter_progress(tasks: Tasks[Item], bar_width: int = 50, file: TextIO | None = None) -> Iterator[Item]:
    """The tasks, with a bar that tells how many were asked for."""
    items, count = _counted(tasks)
    bar = ProgressBar(count, bar_width, file=file)
    for item in items:
        yield item
        bar.update()
    bar.file.write('\n')


def track_parallel_progress(
    func: Callable[[Any], Any],
    tasks: Tasks[Any],
    nproc: int,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] | None = None,
    bar_width: int = 50,
    chunksize: int = 1,
    skip_first: bool = False,
    keep_order: bool = True,
    file: TextIO | None = None,
) -> list[Any]:
    """``[func(task) for task in tasks]`` in several processes, with a bar.

    Args:
        func: Something that can be pickled.
        tasks: A collection, or an iterable and how many there are in it.
        nproc: Processes.
        initializer: Called in each process before it works.
        initargs: Its arguments.
        bar_width: Characters of the bar.
        chunksize: Tasks that a process gets at a time.
        skip_first: Whether to start the clock after the first chunk of each process.
        keep_order: Whether the results have the order of the tasks.
        file: Where to write; standard output if not given.
    """
    items, count = _counted(tasks)
    skipped = nproc * chunksize if skip_first else 0
    bar = ProgressBar(count - skipped, bar_width, start=not skip_first, file=file)
    results = []
    with Pool(nproc, initializer, initargs or ()) as pool:
        for result in (pool.imap if keep_order else pool.imap_unordered)(func, items, chunksize):
            results.append(result)
            if len(results) > skipped:
                bar.update()
            elif len(results) == skipped:
                bar.start()
    bar.file.write('\n')
    return results


def _counted(tasks: Any) -> tuple[Iterable[Any], int]:
    if isinstance(tasks, tuple) and len(tasks) == 2 and isinstance(tasks[1], int) and isinstance(tasks[0], Iterable):
        return tasks[0], tasks[1]
    if not isinstance(tasks, Iterable) or not isinstance(tasks, Sized):
        raise TypeError('"tasks" is a collection, or an iterable and how many there are in it')
    return tasks, len(tasks)
