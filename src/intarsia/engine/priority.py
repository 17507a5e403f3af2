"""Seats of hooks: the smaller number goes first, equal numbers in the order of registration."""

from __future__ import annotations

import enum

from intarsia.core.errors import closest


class Priority(enum.IntEnum):
    """Named seats, with the built-in hooks that sit there."""

    HIGHEST = 0
    VERY_HIGH = 10
    """Learning rate."""
    HIGH = 30
    """Momentum."""
    ABOVE_NORMAL = 40
    """The update of the weights."""
    NORMAL = 50
    """Checkpoints, and hooks that say nothing."""
    BELOW_NORMAL = 60
    LOW = 70
    """Iteration timer, evaluation."""
    VERY_LOW = 90
    """Loggers."""
    LOWEST = 100


def get_priority(priority: int | str | Priority) -> int:
    """The number of a seat given by number (0 ... 100) or by name.

    Raises:
        ValueError: A number out of range or an unknown name.
    """
    if isinstance(priority, str):
        try:
            return int(Priority[priority.upper()])
        except KeyError:
            close = closest(priority, Priority.__members__)
            hint = f" Did you mean '{close}'?" if close else ''
            raise ValueError(f"there is no priority '{priority}'.{hint}") from None
    if not isinstance(priority, int) or not 0 <= priority <= 100:
        raise ValueError(f'a priority is a name or a number from 0 to 100, not {priority!r}')
    return int(priority)
