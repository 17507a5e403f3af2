"""What a metric of class scores is: it measures batches, adds up what it measured, and says its values in the end.

Shapes: n samples, c classes, t thresholds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from intarsia.core.errors import DataError

State = dict[str, Any]
"""Counts (integer arrays, which add up) and tables (lists of arrays, which grow)."""


class Metric(ABC):
    """A metric that is counted batch by batch.

    A subclass implements :meth:`measure` and :meth:`values`. Counts are integers and tables are read in an order of
    their own, so that how samples are split into batches and processes changes no bit of the result.

    Args:
        prefix: What stands before the names of :meth:`compute`; None takes that of the class.
    """

    PREFIX: ClassVar[str]

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = self.PREFIX if prefix is None else prefix
        self._state: State = {}

    @abstractmethod
    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """What a batch adds to the state.

        Args:
            score_nc: Scores ``(N, C)``, float.
            target: Labels ``(N,)`` or, where a sample may have several, ``(N, C)``; see the class.
        """

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """The values of all that was counted, by short name."""

    def update(self, score_nc: np.ndarray, target: np.ndarray) -> None:
        """Count a batch; arguments as :meth:`measure`."""
        if len(score_nc):
            self.merge(self.measure(score_nc, target))

    def compute(self) -> dict[str, Any]:
        """The values by their full names, ``PREFIX/NAME``.

        Raises:
            ValueError: Nothing was counted.
        """
        return {f'{self.prefix}/{name}' if self.prefix else name: value for name, value in self.values().items()}

    def counted(self, name: str) -> Any:
        """A part of the state.

        Raises:
            ValueError: Nothing was counted.
        """
        if not self._state:
            raise ValueError(f'{type(self).__name__} has counted no samples')
        return self._state[name]

    def state(self) -> State:
        """What was counted; later updates do not change it."""
        return {name: part.copy() for name, part in self._state.items()}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another metric of the same settings counted."""
        for name, part in state.items():
            if isinstance(part, list):
                self._state.setdefault(name, []).extend(part)
            else:
                self._state[name] = self._state.get(name, 0) + part

    def reset(self) -> None:
        """Forget what was counted."""
        self._state = {}


def as_labels(target: np.ndarray, num_classes: int) -> np.ndarray:
    """Labels as int64 ``(N,)``.

    Raises:
        DataError: A label is not in 0 ... C-1.
    """
    label_n = np.asarray(target, np.int64).reshape(-1)
    if len(label_n) and not 0 <= label_n.min() <= label_n.max() < num_classes:
        wrong = label_n.min() if label_n.min() < 0 else label_n.max()
        raise DataError(f'there is a label {wrong}, but the model has the classes 0 ... {num_classes - 1}')
    return label_n


def as_indicators(target: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Multi-label targets as int8 ``(N, C)``: 1 there, 0 not there, -1 difficult.

    Raises:
        DataError: They are not one value for each sample and class.
    """
    if target.shape != shape:
        raise DataError(f'the targets have the shape {target.shape}, the scores of the model {shape}')
    return target.astype(np.int8)


def as_thresholds(thrs: float | Sequence[float | None] | None) -> tuple[float | None, ...]:
    """One threshold or several as a tuple; None means no threshold."""
    return tuple(thrs) if isinstance(thrs, Sequence) else (thrs,)


def ranks_of_labels(score_nc: np.ndarray, label_n: np.ndarray) -> np.ndarray:
    """How many classes come before the true one, int64 ``(N,)``.

    Of equal scores the lower class comes first. NaN comes before everything, and a true class whose score is NaN is
    last, so that a broken model has no accuracy.
    """
    own_n1 = np.take_along_axis(score_nc, label_n[:, None], axis=1)
    is_later_c = np.arange(score_nc.shape[1]) >= label_n[:, None]
    behind_nc = (score_nc < own_n1) | ((score_nc == own_n1) & is_later_c)
    return score_nc.shape[1] - behind_nc.sum(axis=1)
