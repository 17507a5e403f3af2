"""Precision, recall and F1 from counts. Shapes: ... any axes, c classes."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

Average = Literal['macro', 'micro', 'none'] | None
ITEMS = ('precision', 'recall', 'f1-score', 'support')

_TINY = float(np.finfo(np.float32).eps)


class PrecisionRecall(NamedTuple):
    """Arrays of one shape: ``(..., C)``, or ``(...)`` where classes were averaged.

    Attributes:
        precision: Percent of the answers that are right; 0 without answers.
        recall: Percent of the true samples that were found; 0 without such samples.
        f1: Harmonic mean of both, in percent.
        support: Number of true samples.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray

    def items(self) -> dict[str, np.ndarray]:
        """By the names that configs use, :data:`ITEMS`."""
        return dict(zip(ITEMS, self, strict=True))


def precision_recall(hits: np.ndarray, answers: np.ndarray, support: np.ndarray, average: Average) -> PrecisionRecall:
    """Precision, recall and F1.

    Args:
        hits: Right answers by class, int ``(..., C)``.
        answers: Answers by class, int ``(..., C)``.
        support: True samples by class, int ``(..., C)``.
        average: ``'macro'`` is the mean over classes, ``'micro'`` that of the counts of all classes together,
            ``'none'`` and None keep the classes.

    Raises:
        ValueError: ``average`` is something else.
    """
    if average not in ('macro', 'micro', 'none', None):
        raise ValueError(f"average must be 'macro', 'micro' or 'none', not {average!r}")
    if average == 'micro':
        hits, answers, support = (counts.sum(axis=-1) for counts in (hits, answers, support))
    precision = 100.0 * hits / np.maximum(answers, 1)
    recall = 100.0 * hits / np.maximum(support, 1)
    f1 = harmonic_mean(precision, recall)
    if average == 'macro':
        return PrecisionRecall(precision.mean(-1), recall.mean(-1), f1.mean(-1), support.sum(-1))
    return PrecisionRecall(precision, recall, f1, support)


def harmonic_mean(a: Any, b: Any) -> Any:
    """``2ab / (a + b)``, and 0 where both are 0."""
    return 2 * a * b / np.maximum(a + b, _TINY)


def check_items(items: tuple[str, ...]) -> None:
    """Raise a ValueError if one of ``items`` is not in :data:`ITEMS`."""
    unknown = [item for item in items if item not in ITEMS]
    if unknown:
        raise ValueError(f'items are {", ".join(ITEMS)}, not {", ".join(unknown)}')


def average_suffix(average: Average) -> str:
    """What an average other than the usual one adds to a name."""
    return {'macro': '', 'micro': '_micro', 'none': '_classwise', None: '_classwise'}[average]
