"""What metrics of joints have in common: they keep what was found of each person, and look at all in the end.

Shapes: n people, k joints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from intarsia.core.errors import DataError
from intarsia.tasks.pose.results import PoseResult

Truth = Mapping[str, Any]


class Joints(NamedTuple):
    """What was found of all people, and what is true.

    Attributes:
        pred: Found joints, float64 ``(N, K, 2)``.
        true: Where they are, float64 ``(N, K, 2)``.
        mask: Which of them count, bool ``(N, K)``.
        sizes: Units by name, float64 ``(N, 2)``.
    """

    pred: np.ndarray
    true: np.ndarray
    mask: np.ndarray
    sizes: Mapping[str, np.ndarray]


class JointMetric(ABC):
    """A metric of the joints of one person a sample.

    People are kept by their ``bbox_id`` and looked at in its order, so that how samples are split into batches and
    processes changes no bit of the result, and none counts twice. A subclass implements :meth:`values`, and
    :meth:`sizes_of` if it needs sizes of people.

    Args:
        prefix: Stands before the names of :meth:`compute`, with a slash.
    """

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = prefix
        self._rows: dict[int, tuple[np.ndarray, ...]] = {}

    def update(self, result: PoseResult, truth: Truth) -> None:
        """Count one sample.

        Args:
            result: One person.
            truth: ``bbox_id``, ``keypoints`` (K, 2), ``visible`` (K,), and what :meth:`sizes_of` asks for.

        Raises:
            DataError: The result is of other joints than the truth.
        """
        true, visible = np.asarray(truth['keypoints'], np.float64), np.asarray(truth['visible']) > 0
        pred = np.asarray(result.keypoints, np.float64)
        if pred.shape != (1, *true.shape):
            raise DataError(
                f'a result has {pred.shape[1]} joints of {len(pred)} people, but the truth {len(true)} of one'
            )
        sizes = [np.broadcast_to(np.asarray(size, np.float64), 2) for size in self.sizes_of(pred[0], truth).values()]
        self._rows[int(truth['bbox_id'])] = (pred[0], true, visible, *sizes)

    def sizes_of(self, pred_k2: np.ndarray, truth: Truth) -> dict[str, Any]:
        """Sizes of a person by name, a number or one for x and y; always the same names."""
        return {}

    size_names: Sequence[str] = ()
    """Names of :meth:`sizes_of`, in their order."""

    @abstractmethod
    def values(self, joints: Joints) -> dict[str, float]:
        """The metric's values by name."""

    def compute(self) -> dict[str, float]:
        """The metric's values by name.

        Raises:
            ValueError: Nothing was counted.
        """
        if not self._rows:
            raise ValueError(f'{type(self).__name__} has counted nothing')
        pred, true, mask, *sizes = (
            np.stack(parts) for parts in zip(*(self._rows[i] for i in sorted(self._rows)), strict=True)
        )
        values = self.values(Joints(pred, true, mask, dict(zip(self.size_names, sizes, strict=True))))
        return {f'{self.prefix}/{name}' if self.prefix else name: float(value) for name, value in values.items()}

    def state(self) -> dict[int, tuple[np.ndarray, ...]]:
        """What was counted."""
        return dict(self._rows)

    def merge(self, state: Mapping[int, tuple[np.ndarray, ...]]) -> None:
        """Add what another metric of the same settings counted."""
        self._rows.update(state)

    def reset(self) -> None:
        """Forget what was counted."""
        self._rows.clear()
