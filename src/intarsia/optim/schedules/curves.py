"""Curves of a schedule: pure functions of progress that know neither optimizer nor run.

``base`` is the value a parameter group starts with, ``progress`` and ``total`` count epochs or iterations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

Annealing = Callable[[float, float, float], float]
"""``(start, end, fraction) -> value``, ``start`` at 0 and ``end`` at 1."""


def cosine(start: float, end: float, fraction: float) -> float:
    """Half a cosine wave from ``start`` at 0 to ``end`` at 1 (SGDR, Loshchilov and Hutter, 2017, arXiv:1608.03983)."""
    return end + 0.5 * (start - end) * (math.cos(math.pi * fraction) + 1)


def linear(start: float, end: float, fraction: float) -> float:
    """A straight line from ``start`` at 0 to ``end`` at 1."""
    return start + (end - start) * fraction


ANNEALINGS: Mapping[str, Annealing] = {'cos': cosine, 'linear': linear}
"""What ``anneal_strategy`` can name."""


def floor_of(base: float, minimum: float | None, ratio: float | None, name: str = 'min_lr') -> float:
    """The lower end of a curve, given as a value or as a ratio of its start."""
    if (minimum is None) == (ratio is None):
        raise ValueError(f'give either {name} or {name}_ratio')
    return base * ratio if ratio is not None else minimum  # type: ignore[return-value]


def checked_steps(steps: int | Sequence[int]) -> int | Sequence[int]:
    """``steps`` itself.

    Raises:
        ValueError: It is neither a positive number nor a sequence of such.
    """
    if any(not isinstance(s, int) or s <= 0 for s in ([steps] if isinstance(steps, int) else steps)):
        raise ValueError(f'step must be a positive number or a list of such, not {steps!r}')
    return steps


def step(base: float, progress: int, steps: int | Sequence[int], gamma: float, floor: float | None = None) -> float:
    """``base * gamma ** k``; k counts the passed entries of ``steps``, or its multiples if it is a number."""
    passed = progress // steps if isinstance(steps, int) else sum(s <= progress for s in steps)
    value = base * gamma**passed
    return value if floor is None else max(value, floor)


def exponential(base: float, progress: int, gamma: float) -> float:
    """``base * gamma ** progress``."""
    return base * gamma**progress


def polynomial(base: float, progress: int, total: int, power: float, floor: float) -> float:
    """From ``base`` at 0 to ``floor`` at ``total`` as ``(1 - progress / total) ** power``."""
    return (base - floor) * (1 - progress / total) ** power + floor


def inverse(base: float, progress: int, gamma: float, power: float) -> float:
    """``base * (1 + gamma * progress) ** -power``."""
    return base * (1 + gamma * progress) ** -power


def flat_cosine(base: float, floor: float, progress: int, total: int, flat: float) -> float:
    """``base`` for the part ``flat`` of ``total``, then :func:`cosine` to ``floor``."""
    start = round(total * flat)
    return base if progress < start else cosine(base, floor, (progress - start) / (total - start))


def cosine_restart(base: float, floor: float, progress: int, periods: Sequence[int], weights: Sequence[float]) -> float:
    """A cosine for every period, from ``weight * base + (1 - weight) * floor`` to ``floor``, where it then stays."""
    start = 0
    for period, weight in zip(periods, weights, strict=True):
        if progress < start + period:
            return cosine(floor + weight * (base - floor), floor, (progress - start) / period)
        start += period
    return floor


def cosine_cooldown(base: float, floor: float, progress: int, total: int, length: int, ratio: float) -> float:
    """:func:`cosine` to ``floor`` at ``total - length``, and ``floor * ratio`` after it."""
    annealed = total - length
    return floor * ratio if progress > annealed else cosine(base, floor, progress / annealed if annealed else 1.0)


def cyclic(
    base: float, progress: int, length: int, up: int, ratios: tuple[float, float], gamma: float, anneal: Annealing
) -> float:
    """Cycles from ``base`` up to a peak and down to an end (Cyclical Learning Rates, Smith, 2015, arXiv:1506.01186).

    Args:
        base: The value at the start of each cycle.
        progress: Iterations done.
        length: Iterations of a cycle.
        up: Those until the peak.
        ratios: Peak and end as multiples of ``base``.
        gamma: What the height of the peak above ``base`` is multiplied with from cycle to cycle.
        anneal: Shape of both slopes.
    """
    cycle, position = divmod(progress, length)
    peak = base * (1 + (ratios[0] - 1) * gamma**cycle)
    if position < up:
        return anneal(base, peak, position / up)
    return anneal(peak, base * ratios[1], (position - up) / (length - up))


def one_cycle(
    levels: tuple[float, float, float], progress: int, total: int, up: float, three_phase: bool, anneal: Annealing
) -> float:
    """Up to a peak and down below the start (Super-Convergence, Smith and Topin, 2017, arXiv:1708.07120).

    Args:
        levels: Values at the start, at the peak and at the end.
        progress: Iterations done.
        total: Iterations in all; the end is reached at ``total - 1``, and the curve stays there.
        up: Part of them until the peak.
        three_phase: Go down to the start as fast as up, and from there to the end.
        anneal: Shape of the phases.
    """
    start, peak, end = levels
    top = up * total - 1
    phases = [(top, start, peak), (2 * top, peak, start)] if three_phase else [(top, start, peak)]
    phases.append((total - 1, phases[-1][2], end))
    since: float = 0
    for until, first, last in phases:
        if progress <= until:
            return anneal(first, last, (progress - since) / (until - since) if until > since else 1.0)
        since = until
    return end


def table(progress: int, steps: Sequence[int], values: Sequence[float]) -> float:
    """``values[i]`` for the first ``steps[i]`` above ``progress``; past all steps the last value stays."""
    return next((value for until, value in zip(steps, values, strict=True) if progress < until), values[-1])


def warmup_factor(kind: str, done: int, length: int, ratio: float) -> float:
    """What a warm-up multiplies the value with: from ``ratio`` at 0 towards 1 at ``length``.

    Args:
        kind: ``'constant'``, ``'linear'`` or ``'exp'``.
        done: Iterations done.
        length: Iterations the warm-up lasts.
        ratio: The factor at its start.
    """
    if kind == 'constant':
        return ratio
    left = 1 - done / length
    return 1 - left * (1 - ratio) if kind == 'linear' else ratio**left
