"""Rounding of channel counts."""

from __future__ import annotations


def make_divisible(value: float, divisor: int, min_value: int | None = None, min_ratio: float = 0.9) -> int:
    """The multiple of ``divisor`` nearest to ``value``, but not much below it.

    Args:
        value: Wanted number of channels.
        divisor: What the result is a multiple of.
        min_value: Smallest result; ``divisor`` if not given.
        min_ratio: If the nearest multiple is below this share of ``value``, the next one is taken.
    """
    nearest = max(min_value or divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest if nearest >= min_ratio * value else nearest + divisor
