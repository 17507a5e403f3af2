"""Curves of a schedule: pure functions of progress that know neither optimizer nor run.

``base`` is the value a parameter group starts with, ``progress`` and ``total`` count epochs or iterations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


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


def cosine(start: float, end: float, fraction: float) -> float:
    """Half a cosine wave from ``start`` at 0 to ``end`` at 1 (SGDR, Loshchilov and Hutter, 2017, arXiv:1608.03983)."""
    return end + 0.5 * (start - end) * (math.cos(math.pi * fraction) + 1)


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
