"""Accuracies of clips with one label, shares of 0 ... 1. Shapes: n clips, c classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.engine.metrics.confusion_matrix import confusion_matrix
from intarsia.engine.metrics.metric import Metric, State, as_labels, ranks_of_labels


@METRICS.register_module()
class TopKAccuracy(Metric):
    """Share of clips whose class is among the k best scores: ``top1_acc``, ``top5_acc``.

    Args:
        topk: One k or several; a k above the number of classes is 1.
        prefix: What stands before the names.

    Raises:
        ValueError: A k is below 1.
    """

    PREFIX = ''

    def __init__(self, topk: int | Sequence[int] = (1, 5), prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        if not self.topk or min(self.topk) < 1:
            raise ValueError(f'topk needs values of at least 1, not {topk}')

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """``ranks`` ``(C,)``: how many clips have their class at which rank; and ``num``."""
        rank_n = ranks_of_labels(score_nc, as_labels(target, score_nc.shape[1]))
        ranks = np.bincount(rank_n, minlength=score_nc.shape[1])[: score_nc.shape[1]]
        return {'ranks': ranks, 'num': np.array(len(rank_n))}

    def share(self, k: int) -> float:
        """Top-k accuracy, 0 ... 1."""
        return float(self.counted('ranks')[:k].sum() / self.counted('num'))

    def values(self) -> dict[str, Any]:
        """A share for each k."""
        return {f'top{k}_acc': self.share(k) for k in self.topk}


@METRICS.register_module()
class MeanClassAccuracy(Metric):
    """The mean over classes of the share of their clips that are recognized: ``mean_class_accuracy``.

    Classes without clips count as 0 if some clip was taken for them, and not at all otherwise.

    Args:
        prefix: What stands before the name.
    """

    PREFIX = ''

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """By class ``hits`` ``(C,)``, ``answers`` ``(C,)`` and ``labels`` ``(C,)``."""
        label_n = as_labels(target, score_nc.shape[1])
        counts = confusion_matrix(score_nc.argmax(axis=1), label_n, score_nc.shape[1])
        return {'hits': np.diag(counts).copy(), 'answers': counts.sum(axis=0), 'labels': counts.sum(axis=1)}

    def share(self) -> float:
        """The mean, 0 ... 1."""
        hits, answers, labels = (self.counted(name) for name in ('hits', 'answers', 'labels'))
        occurs = (answers + labels) > 0
        return float((hits[occurs] / np.maximum(labels[occurs], 1)).mean())

    def values(self) -> dict[str, Any]:
        """The mean over classes."""
        return {'mean_class_accuracy': self.share()}
