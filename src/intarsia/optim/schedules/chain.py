"""A list of schedules as one function of the iteration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from intarsia.optim.schedules.link import Link, Values
from intarsia.optim.schedules.plateau import ReduceOnPlateau


class _Timed(NamedTuple):
    """A link that follows time, what it takes for the start of the run, and its span in its own unit."""

    link: Link
    bases: Values
    begin: int
    end: float


class Chain:
    """Values at any iteration, found by stepping all links from the first iteration on.

    A step of the chain is remembered, so that going on costs one step, and going back starts anew: what is resumed in
    the middle is what would have been. At the first iteration links step in the order of the list; later those of
    iterations step first, then, where an epoch begins, those of epochs, then those that follow a metric.

    Args:
        links: Fitted to the run.
        bases: Values at the start of the run.
        epoch_length: Iterations of an epoch; None if epochs never advance.

    Attributes:
        next_change: No value changes before this iteration.
    """

    def __init__(self, links: Sequence[Link], bases: Values, epoch_length: int | None) -> None:
        self._start = list(bases)
        self._timed: list[_Timed] = []
        for link in links:
            bases = link.bases(bases)
            if not isinstance(link, ReduceOnPlateau):
                self._timed.append(_Timed(link, bases, *link.bounds))
        self._of_iterations = [timed for timed in self._timed if not timed.link.by_epoch]
        self._of_epochs = [timed for timed in self._timed if timed.link.by_epoch] if epoch_length else []
        self._plateaus = [link for link in links if isinstance(link, ReduceOnPlateau)]
        self._epoch_length = epoch_length or 1
        self._restart()

    def _restart(self) -> None:
        self._values: Values = self._start
        self._iteration = -1
        self._busy_until = 0.0
        self.next_change: float = 0

    def at(self, iteration: int) -> Values:
        """The values for this iteration, counted from 0."""
        if iteration < self._iteration:
            self._restart()
        while self.next_change <= iteration:
            self._advance(int(self.next_change))
        return self._values

    def recheck(self) -> None:
        """A link that follows a metric has decided something; the next iteration may change."""
        self.next_change = min(self.next_change, self._find_next(self._iteration))

    def _advance(self, iteration: int) -> None:
        self._iteration = iteration
        if iteration == 0:
            self._step(self._timed, 0)
        else:
            self._step(self._of_iterations, iteration)
            if self._of_epochs and iteration % self._epoch_length == 0:
                self._step(self._of_epochs, iteration // self._epoch_length)
        for link in self._plateaus:
            if iteration in link.falls:
                self._values = link.step(self._values, (), 0)
        self.next_change = iteration + 1 if iteration + 1 < self._busy_until else self._find_next(iteration)

    def _step(self, timed: Iterable[_Timed], now: int) -> None:
        for link, bases, begin, end in timed:
            if begin <= now < end:
                self._values = link.step(self._values, bases, now - begin)

    def _find_next(self, iteration: int) -> float:
        """The next iteration at which a link steps; those of iterations then step until ``_busy_until``."""
        following = iteration + 1
        epoch = iteration // self._epoch_length + 1
        steps = [max(following, begin) for _, _, begin, end in self._of_iterations if following < end]
        steps += [max(epoch, begin) * self._epoch_length for _, _, begin, end in self._of_epochs if epoch < end]
        steps += [fall for link in self._plateaus for fall in link.falls if fall > iteration]
        found = min(steps, default=math.inf)
        self._busy_until = max((end for _, _, begin, end in self._of_iterations if begin <= found < end), default=0)
        return found
