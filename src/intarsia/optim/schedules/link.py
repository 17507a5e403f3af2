"""What the links of a list of schedules share: span, unit, and how they fit a run."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

Values = Sequence[float]
"""One number for each distinct base value (or for each parameter group, if a link has values of its own for each)."""


def spread(value: float | Values, count: int) -> Values:
    """``value`` itself if there is one for each of ``count``, else as many of it."""
    return value if isinstance(value, Sequence) else [value] * count


class RunLength(NamedTuple):
    """How long a run is: epochs (None if it counts iterations), iterations, iterations of one epoch."""

    epochs: int | None
    iters: int
    epoch_length: int


class Link:
    """One rule of a list of schedules: it moves a value, at every step of its span, from where the others left it.

    A subclass writes :meth:`step`, a pure function. Registered in SCHEDULES, its name is a ``policy`` of the list.

    Args:
        begin: First epoch or iteration of the span.
        end: The one after its last; None is the end of the run.
        by_epoch: Whether span and lengths count epochs, and the value moves once in each; by default what the run
            counts. In a run that counts iterations epochs never advance.
        every_iter: With ``by_epoch``: move at every iteration; span and lengths still count epochs.
        optimizer: Name of the optimizer it is for, if there are several; None is for all.
    """

    lengths: ClassVar[tuple[str, ...]] = ()
    """Attributes that count the same unit as the span: numbers, sequences of them, or None."""

    span: float
    """Steps of the span; known once the link is fitted to a run."""

    def __init__(
        self,
        begin: float = 0,
        end: float | None = None,
        by_epoch: bool | None = None,
        every_iter: bool = False,
        optimizer: str | None = None,
    ) -> None:
        if begin < 0 or (end is not None and end <= begin):
            raise ValueError(f'a span must begin at 0 or later and end after it begins, not [{begin}, {end})')
        if every_iter and by_epoch is False:
            raise ValueError('every_iter is for spans that count epochs; by_epoch=False moves at every iteration')
        self.begin, self.end = begin, end
        self.by_epoch, self.every_iter, self.optimizer = by_epoch, every_iter, optimizer

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """Move the values.

        Args:
            values: Where the links before left them.
            bases: What they were at the start of the run.
            position: Steps since ``begin``, from 0.
        """
        raise NotImplementedError(f'{type(self).__name__} has no step(values, bases, position)')

    def bases(self, bases: Values) -> Values:
        """What this link and those after it take for the start of the run."""
        return bases

    @property
    def own_values(self) -> Sequence[float] | None:
        """Values of this link for every parameter group; None if groups with the same base share all."""
        return None

    def fitted(self, run: RunLength) -> Link:
        """A copy for one run: ``begin``, ``end`` and ``lengths`` are numbers in the unit in which it steps."""
        link = copy.copy(self)
        counts_epochs = run.epochs is not None if self.by_epoch is None else self.by_epoch
        scale = run.epoch_length if counts_epochs and self.every_iter else 1
        link.by_epoch = counts_epochs and not self.every_iter
        link.begin = int(self.begin * scale)
        if self.end is not None and math.isfinite(self.end):
            link.end = int(self.end * scale)
        else:
            link.end = run.iters if not link.by_epoch else math.inf if run.epochs is None else run.epochs
        for name in self.lengths:
            length = getattr(self, name)
            if isinstance(length, Sequence):
                setattr(link, name, [n * scale for n in length])
            elif length is not None:
                setattr(link, name, length * scale)
        link.span = link.end - link.begin
        return link

    @property
    def bounds(self) -> tuple[int, float]:
        """First step and the one after the last of a fitted link."""
        assert self.end is not None
        return int(self.begin), self.end
