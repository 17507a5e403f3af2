"""Which classes are taken for which. Shapes: n samples, c classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.engine.metrics.metric import Metric, State, as_labels


def confusion_matrix(answer_n: np.ndarray, label_n: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each class was answered for each: int64 ``(C, C)``, rows are true classes, columns answers."""
    pairs = num_classes * label_n + answer_n
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


@METRICS.register_module()
class ConfusionMatrix(Metric):
    """How often each class was answered for each. Its value is ``result``, a list of rows: one for each true class.

    Args:
        num_classes: C, if it should be checked; None takes that of the model.
        prefix: What stands before the name; ``confusion_matrix`` if None.

    Raises:
        ValueError: The model has another number of classes.
    """

    PREFIX = 'confusion_matrix'

    def __init__(self, num_classes: int | None = None, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.num_classes = num_classes

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """``matrix`` ``(C, C)``."""
        answer_n, label_n = self._pairs(score_nc, target)
        return {'matrix': confusion_matrix(answer_n, label_n, score_nc.shape[1])}

    def update(self, score_nc: np.ndarray, target: np.ndarray) -> None:
        """As the base class, but only the first batch has a matrix of its own: it may be a thousand times larger."""
        if self._state:
            answer_n, label_n = self._pairs(score_nc, target)
            np.add.at(self._state['matrix'], (label_n, answer_n), 1)
        else:
            super().update(score_nc, target)

    def _pairs(self, score_nc: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        num_classes = score_nc.shape[1]
        if self.num_classes not in (None, num_classes):
            raise ValueError(f'num_classes={self.num_classes}, but the model has {num_classes} classes')
        return score_nc.argmax(axis=1), as_labels(target, num_classes)

    @property
    def matrix(self) -> np.ndarray:
        """Int64 ``(C, C)``: rows are true classes, columns answers."""
        return self.counted('matrix')

    def values(self) -> dict[str, Any]:
        """The matrix as a list of rows."""
        return {'result': self.matrix.tolist()}
