"""Sizes given as one number or as (height, width)."""

from __future__ import annotations

from collections.abc import Sequence

Pair = int | Sequence[int]
"""One number for both axes, or (height, width)."""


def as_pair(value: Pair) -> tuple[int, int]:
    """``7`` and ``(7,)`` become ``(7, 7)``; ``(3, 5)`` stays.

    Raises:
        ValueError: There are more than two numbers, or none.
    """
    values = (value,) if isinstance(value, int) else tuple(value)
    if len(values) not in (1, 2):
        raise ValueError(f'expected one number or (height, width), not {value!r}')
    return values[0], values[-1]
