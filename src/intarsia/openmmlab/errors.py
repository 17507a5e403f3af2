"""Errors of ours that are also those that old code raised, so that its ``except`` still catches them."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def _joint(kind: Any, old: Any) -> type[Exception]:
    words = {'__module__': kind.__module__, '__doc__': kind.__doc__, '__str__': kind.__str__}
    return type(kind.__name__, (kind, old), words)


def also(error: Exception, old: Any) -> Exception:
    """An error of the same class and text that is an ``old`` as well.

    Args:
        error: What was raised.
        old: What old code raised there.
    """
    if isinstance(error, old):
        return error
    kind: Any = _joint(type(error), old)  # type: ignore[arg-type]
    found = kind.__new__(kind, *error.args)
    found.__dict__.update(error.__dict__)
    found.args = error.args
    return found
