"""Values between two log records. They stay on their device until a record is due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch

KEPT = 1000
"""Values of one name that stay after a record, for loggers with a longer interval."""


class LogBuffer:
    """History of logged values since it was last cleared.

    Attributes:
        val_history: Name to values, newest last: floats, or 0-dim tensors that have not been fetched yet.
        n_history: Name to the weight of each value (the number of samples).
        output: What the next record holds.
        ready: Whether ``output`` waits to be logged.
        reduce: Makes means of several processes one; None in a single process.
    """

    reduce: Callable[[Mapping[str, float]], dict[str, float]] | None = None

    def __init__(self) -> None:
        self.val_history: dict[str, list[Any]] = defaultdict(list)
        self.n_history: dict[str, list[int]] = defaultdict(list)
        self.output: dict[str, Any] = {}
        self.ready = False
        self._fetched: dict[str, int] = {}

    def update(self, values: Mapping[str, Any], count: int = 1) -> None:
        """Append one value to every name, without waiting for the device."""
        for name, value in values.items():
            self.val_history[name].append(value)
            self.n_history[name].append(count)

    def average(self, n: int = 0) -> None:
        """Put the weighted mean of the last ``n`` values (0: of all) of every name into ``output``."""
        self._fetch()
        for name, values in self.val_history.items():
            last, weights = values[-n:], self.n_history[name][-n:]
            self.output[name] = sum(v * w for v, w in zip(last, weights, strict=True)) / max(sum(weights), 1)
            self._forget(name, max(n, KEPT) if n else 0)
        if self.reduce is not None:
            self.output = self.reduce(self.output)
        self.ready = True

    def _forget(self, name: str, kept: int) -> None:
        """Keep only the last ``kept`` values of a name (0: all), so that a long run needs no more memory."""
        surplus = len(self.val_history[name]) - kept
        if kept and surplus > 0:
            del self.val_history[name][:surplus], self.n_history[name][:surplus]
            self._fetched[name] -= surplus

    def _fetch(self) -> None:
        """Turn the tensors that came since the last time into floats, with one transfer for each dtype."""
        pending: dict[torch.dtype, list[tuple[list[Any], int]]] = defaultdict(list)
        for name, values in self.val_history.items():
            for i in range(self._fetched.get(name, 0), len(values)):
                if isinstance(values[i], torch.Tensor):
                    pending[values[i].dtype].append((values, i))
            self._fetched[name] = len(values)
        for places in pending.values():
            fetched = torch.stack([values[i] for values, i in places]).tolist()
            for (values, i), value in zip(places, fetched, strict=True):
                values[i] = value

    def state_dict(self) -> dict[str, Any]:
        """The history, fetched: ``{name: [values, weights]}``."""
        self._fetch()
        return {name: [list(values), list(self.n_history[name])] for name, values in self.val_history.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back :meth:`state_dict`; the next start of an epoch keeps it."""
        self.clear()
        for name, (values, weights) in state.items():
            self.val_history[name], self.n_history[name] = list(values), list(weights)

    def clear(self) -> None:
        """Forget the history and the record."""
        self.val_history.clear()
        self.n_history.clear()
        self._fetched.clear()
        self.clear_output()

    def clear_output(self) -> None:
        """Forget the record."""
        self.output = {}
        self.ready = False
