"""Precision, recall and F1 where each sample has one label. Shapes: n samples, c classes, t thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.engine.metrics.metric import Metric, State, as_labels, as_thresholds
from intarsia.tasks.classification.metrics.accuracy import threshold_suffix
from intarsia.tasks.classification.metrics.precision_recall import (
    PrecisionRecall,
    average_suffix,
    check_items,
    precision_recall,
)


@METRICS.register_module()
class SingleLabelMetric(Metric):
    """Precision, recall, F1 and support of the class with the best score.

    Its values are ``precision``, ``recall``, ``f1-score``, ``support``; with several thresholds ``precision_thr-0.30``
    and ``precision_no-thr``; with another average ``precision_micro`` or ``precision_classwise``.

    Args:
        thrs: An answer counts only if its score is above this value; one or several, None for no threshold.
        items: Which values are wanted.
        average: ``'macro'`` is the mean over classes, ``'micro'`` takes all classes together, ``'none'`` or None
            gives a list over classes.
        prefix: What stands before the names; ``single-label`` if None.

    Raises:
        ValueError: An item or the average is unknown.
    """

    PREFIX = 'single-label'

    def __init__(
        self,
        thrs: float | Sequence[float | None] | None = None,
        items: Sequence[str] = ('precision', 'recall', 'f1-score'),
        average: Literal['macro', 'micro', 'none'] | None = 'macro',
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix)
        self.thrs = as_thresholds(thrs)
        self.items = tuple(items)
        self.average = average
        check_items(self.items)

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """``hits`` and ``answers`` ``(T, C)``, ``support`` ``(C,)``."""
        num_classes = score_nc.shape[1]
        label_n = as_labels(target, num_classes)
        answer_n = score_nc.argmax(axis=1)
        best_n = np.take_along_axis(score_nc, answer_n[:, None], axis=1)[:, 0]
        hits, answers = [], []
        for thr in self.thrs:
            counted_n = answer_n if thr is None else answer_n[best_n > thr]
            truth_n = label_n if thr is None else label_n[best_n > thr]
            hits.append(np.bincount(counted_n[counted_n == truth_n], minlength=num_classes))
            answers.append(np.bincount(counted_n, minlength=num_classes))
        support = np.bincount(label_n, minlength=num_classes)
        return {'hits': np.stack(hits), 'answers': np.stack(answers), 'support': support}

    def results(self) -> list[PrecisionRecall]:
        """One for each threshold."""
        counts = zip(self.counted('hits'), self.counted('answers'), strict=True)
        return [precision_recall(hits, answers, self.counted('support'), self.average) for hits, answers in counts]

    def values(self) -> dict[str, Any]:
        """The wanted items for each threshold."""
        return {
            f'{item}{threshold_suffix(self.thrs, thr)}{average_suffix(self.average)}': result.items()[item].tolist()
            for thr, result in zip(self.thrs, self.results(), strict=True)
            for item in self.items
        }
