"""Values between two log records. They stay on their device until a record is due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch


class LogBuffer:
    """History of logged values since it was last cleared.

    Attributes:
        val_history: Name to values, newest last: floats, or 0-dim tensors that have not been fetched yet.
        n_history: Name to the weight of each value (the number of samples).
        output: What the next record holds.
        ready: Whether ``output`` waits to be logged.
    """

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
        self.ready = True

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
