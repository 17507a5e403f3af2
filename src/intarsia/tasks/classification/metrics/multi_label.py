"""Precision, recall and F1 where a sample has any number of labels. Shapes: n samples, c classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.engine.metrics.metric import Metric, State, as_indicators
from intarsia.tasks.classification.metrics.precision_recall import (
    PrecisionRecall,
    average_suffix,
    check_items,
    harmonic_mean,
    precision_recall,
)


def answered(score_nc: np.ndarray, thr: float | None = None, topk: int | None = None) -> np.ndarray:
    """Which classes are answered, bool ``(N, C)``.

    Args:
        score_nc: Scores.
        thr: Those whose score is at least this value.
        topk: Without ``thr`` the k best; of equal scores the lower class comes first. With neither, ``thr`` is 0.5.
    """
    if thr is not None or topk is None:
        return score_nc >= (0.5 if thr is None else thr)
    best_nk = np.argsort(-score_nc, axis=1, kind='stable')[:, :topk]
    answer_nc = np.zeros(score_nc.shape, bool)
    np.put_along_axis(answer_nc, best_nk, True, axis=1)
    return answer_nc


@METRICS.register_module()
class MultiLabelMetric(Metric):
    """Precision, recall, F1 and support of the answered classes. Targets are 1 there, 0 not there, -1 difficult.

    Its values are ``precision``, ``recall``, ``f1-score``, ``support``, with ``_thr-0.70`` for a threshold other than
    0.5, ``_top2`` for the k best, then ``_micro`` or ``_classwise`` for another average. ``f1-score`` with the average
    ``macro`` is the mean of the F1 of the classes; :meth:`overall` has the CF1 of the literature.

    Args:
        thr: Classes whose score is at least this value are answered.
        topk: Without ``thr`` the k best classes are answered. With neither, ``thr`` is 0.5.
        items: Which values are wanted.
        average: ``'macro'`` is the mean over classes, ``'micro'`` takes all classes together, ``'none'`` or None
            gives a list over classes.
        difficult: Whether a difficult class is left out for its sample, or counts as not there.
        prefix: What stands before the names; ``multi-label`` if None.

    Raises:
        ValueError: An item, the average or ``difficult`` is unknown.
    """

    PREFIX = 'multi-label'

    def __init__(
        self,
        thr: float | None = None,
        topk: int | None = None,
        items: Sequence[str] = ('precision', 'recall', 'f1-score'),
        average: Literal['macro', 'micro', 'none'] | None = 'macro',
        difficult: Literal['ignored', 'negative'] = 'ignored',
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix)
        self.thr = 0.5 if thr is None and topk is None else thr
        self.topk = topk
        self.items = tuple(items)
        self.average = average
        self.difficult = difficult
        check_items(self.items)
        if difficult not in ('ignored', 'negative'):
            raise ValueError(f"difficult must be 'ignored' or 'negative', not {difficult!r}")

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """``hits``, ``answers`` and ``support``, all ``(C,)``."""
        target_nc = as_indicators(target, score_nc.shape)
        answer_nc = answered(score_nc, self.thr, self.topk)
        if self.difficult == 'ignored':
            answer_nc &= target_nc != -1
        true_nc = target_nc == 1
        return {
            'hits': (answer_nc & true_nc).sum(axis=0),
            'answers': answer_nc.sum(axis=0),
            'support': true_nc.sum(axis=0),
        }

    def result(self, average: Literal['macro', 'micro', 'none'] | None) -> PrecisionRecall:
        """What was counted, averaged in one way or another."""
        return precision_recall(self.counted('hits'), self.counted('answers'), self.counted('support'), average)

    def overall(self) -> dict[str, float]:
        """``CP CR CF1`` by class and ``OP OR OF1`` over all, in percent; CF1 is the harmonic mean of CP and CR."""
        by_class, over_all = self.result('macro'), self.result('micro')
        values = {
            'CP': by_class.precision,
            'CR': by_class.recall,
            'CF1': harmonic_mean(by_class.precision, by_class.recall),
            'OP': over_all.precision,
            'OR': over_all.recall,
            'OF1': over_all.f1,
        }
        return {name: float(value) for name, value in values.items()}

    def values(self) -> dict[str, Any]:
        """The wanted items."""
        if self.thr is None:
            suffix = f'_top{self.topk}'
        else:
            suffix = '' if self.thr == 0.5 else f'_thr-{self.thr:.2f}'
        found = self.result(self.average).items()
        return {f'{item}{suffix}{average_suffix(self.average)}': found[item].tolist() for item in self.items}
