"""The built-in links of a list of schedules. Each moves a value from where the others left it.

Alone on its span each draws the curve its name says; where spans overlap, the effects compound. Positions count from
``begin``; the first is 0, the last ``span - 1``, where most of them have arrived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

from intarsia.core.registries import SCHEDULES
from intarsia.optim.schedules import curves
from intarsia.optim.schedules.link import Link, Values, spread


@SCHEDULES.register_module()
class Constant(Link):
    """The value times ``factor``, and back at the last position.

    Args:
        factor: The factor, positive.
        kwargs: Arguments of :class:`Link`.
    """

    def __init__(self, factor: float = 1 / 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if factor <= 0:
            raise ValueError(f'factor must be positive, not {factor}')
        self.factor = factor

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """Times at the first, divided at the last position."""
        if position == 0:
            return [v * self.factor for v in values]
        return [v * (1 / self.factor) for v in values] if position == self.span - 1 else values


@SCHEDULES.register_module()
class Linear(Link):
    """The value times a factor that goes from ``start_factor`` to ``end_factor``, reached at the last position.

    Args:
        start_factor: The factor at the first position, positive.
        end_factor: That at the last.
        kwargs: Arguments of :class:`Link`.
    """

    def __init__(self, start_factor: float = 1 / 3, end_factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if start_factor <= 0 or end_factor < 0:
            raise ValueError(f'factors must be positive, not {start_factor} and {end_factor}; 1e-6 is next to nothing')
        self.start_factor, self.end_factor = start_factor, end_factor

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """By what the factor grows from the position before."""
        if position == 0:
            return [v * self.start_factor for v in values]
        rise = self.end_factor - self.start_factor
        growth = 1 + rise / ((self.span - 1) * self.start_factor + (position - 1) * rise)
        return [v * growth for v in values]


@SCHEDULES.register_module()
class Step(Link):
    """The value falls by ``gamma`` at steps.

    Args:
        step: Positions at which it falls, or one number for its multiples.
        gamma: Factor of each fall.
        kwargs: Arguments of :class:`Link`.
    """

    lengths = ('steps',)

    def __init__(self, step: int | Sequence[int], gamma: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps, self.gamma = step, gamma
        if isinstance(step, int) and step <= 0:
            raise ValueError(f'step must be positive, not {step}')

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """Times ``gamma`` where a step is."""
        if isinstance(self.steps, Sequence):
            falls = self.steps.count(position)
        else:
            falls = int(position > 0 and position % self.steps == 0)
        return [v * self.gamma**falls for v in values] if falls else values


@SCHEDULES.register_module()
class Exp(Link):
    """The value falls by ``gamma`` at every position but the first.

    Args:
        gamma: Factor of each fall.
        kwargs: Arguments of :class:`Link`.
    """

    def __init__(self, gamma: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = gamma

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """Times ``gamma``."""
        return [v * self.gamma for v in values] if position else values


class FlooredLink(Link):
    """What links with a lower end share.

    Args:
        min_value: Lower end, or
        min_ratio: the same as a part of the base value; 0 if neither is given.
        kwargs: Arguments of :class:`Link`.
    """

    def __init__(self, min_value: float | None = None, min_ratio: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min_value is not None and min_ratio is not None:
            raise ValueError('give either min_value or min_ratio')
        self.min_value, self.min_ratio = min_value or 0.0, min_ratio

    def floors(self, bases: Values) -> Values:
        """Lower ends."""
        return [self.min_value if self.min_ratio is None else b * self.min_ratio for b in bases]


def _fall(values: Values, floors: Values, factor: float) -> Values:
    """What is above the floors times ``factor``."""
    return [factor * (v - floor) + floor for v, floor in zip(values, floors, strict=True)]


def _cosine_factor(position: int, length: float) -> float:
    """What half a cosine wave of ``length`` multiplies its height with, from the position before to this one."""
    return (1 + math.cos(math.pi * position / length)) / (1 + math.cos(math.pi * (position - 1) / length))


@SCHEDULES.register_module()
class CosineAnnealing(FlooredLink):
    """What is above the lower end falls as half a cosine wave; past it the wave goes on.

    Args:
        length: Steps of half a wave; the span by default.
        keep_zero: Leave values at 0 that start with 0.
        kwargs: Arguments of :class:`FlooredLink`.
    """

    lengths = ('length',)

    def __init__(self, length: int | None = None, keep_zero: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length, self.keep_zero = length, keep_zero

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """By what the wave falls from the position before."""
        if position == 0:
            return values
        length, floors = self.length or self.span, self.floors(bases)
        if (position - 1 - length) % (2 * length) == 0:  # leaving the floor, where there is nothing to multiply
            rise = (1 - math.cos(math.pi / length)) / 2
            moved = [v + (b - floor) * rise for v, b, floor in zip(values, bases, floors, strict=True)]
        else:
            moved = list(_fall(values, floors, _cosine_factor(position, length)))
        return [0.0 if b == 0 else v for v, b in zip(moved, bases, strict=True)] if self.keep_zero else moved


@SCHEDULES.register_module()
class CosineRestart(FlooredLink):
    """Half a cosine wave for every period, each from a weight times the base value. Past them the value stays.

    Args:
        periods: Steps of each.
        restart_weights: Weight of each.
        kwargs: Arguments of :class:`FlooredLink`.
    """

    lengths = ('periods',)

    def __init__(self, periods: Sequence[int], restart_weights: Sequence[float] = (1.0,), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(periods) != len(restart_weights):
            raise ValueError(
                f'each of periods needs one of restart_weights, but there are {len(periods)} and {len(restart_weights)}'
            )
        self.periods, self.restart_weights = periods, restart_weights

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """Set where a period begins, else by what the wave falls from the position before."""
        for period, end, weight in zip(self.periods, accumulate(self.periods), self.restart_weights, strict=True):
            if position == end - period:
                return [b * weight for b in bases]
            if position < end:
                return _fall(values, self.floors(bases), _cosine_factor(position - end + period, period))
        return values


@SCHEDULES.register_module()
class Poly(FlooredLink):
    """What is above the lower end falls as a power of what is left of the span; nothing is at the last position.

    Args:
        power: The power.
        kwargs: Arguments of :class:`FlooredLink`.
    """

    def __init__(self, power: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.power = power

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """By what the power falls from the position before."""
        if position == 0:
            return values
        return _fall(values, self.floors(bases), (1 - 1 / (self.span - position)) ** self.power)


@SCHEDULES.register_module()
class OneCycle(Link):
    """One cycle, whatever the value was: up to ``max_value`` and down to nearly nothing.

    Args:
        max_value: The peak: one for all parameter groups, or a list.
        total_steps: Steps of the cycle; the span by default. Past it the value stays.
        pct_start: Part of the cycle, in [0, 1], in which the value rises.
        anneal_strategy: Shape of the slopes.
        div_factor: The peak divided by it is the start, which is also the base value of the links that follow,
        final_div_factor: and that divided by this is the end.
        three_phase: Go down to the start as fast as up, and from there to the end.
        kwargs: Arguments of :class:`Link`.
    """

    lengths = ('total_steps',)

    def __init__(
        self,
        max_value: float | Sequence[float],
        total_steps: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal['cos', 'linear'] = 'cos',
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= pct_start <= 1:
            raise ValueError(f'pct_start must be in [0, 1], not {pct_start}')
        self.max_value, self.total_steps, self.pct_start = max_value, total_steps, pct_start
        self.div_factor, self.final_div_factor, self.three_phase = div_factor, final_div_factor, three_phase
        self.anneal = curves.ANNEALINGS[anneal_strategy]

    @property
    def own_values(self) -> Sequence[float] | None:
        """The peaks, if every group has its own."""
        return self.max_value if isinstance(self.max_value, Sequence) else None

    def bases(self, bases: Values) -> Values:
        """The starts of the cycle."""
        return [peak / self.div_factor for peak in spread(self.max_value, len(bases))]

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """See :func:`intarsia.optim.schedules.curves.one_cycle`."""
        total = self.total_steps or self.span
        levels = [(b, b * self.div_factor, b / self.final_div_factor) for b in bases]
        return [
            curves.one_cycle(each, position, total, self.pct_start, self.three_phase, self.anneal)  # type: ignore[arg-type]
            for each in levels
        ]


@SCHEDULES.register_module()
class QuadraticWarmup(Link):
    """From nearly nothing to the base value, as the square of the position; arguments as :class:`Link`."""

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """By what the square grows; at the first position from 0, whatever the value was."""
        growth = (2 * position + 1) / self.span**2
        return [(v if position else 0.0) + b * growth for v, b in zip(values, bases, strict=True)]
