"""Top-k accuracy. Shapes: n samples, c classes, t thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.engine.metrics.metric import Metric, State, as_labels, as_thresholds, ranks_of_labels


@METRICS.register_module()
class Accuracy(Metric):
    """Share of samples, in percent, whose class is among the k best scores.

    Its values are ``top1``, ``top5``, ...; with several thresholds ``top1_thr-0.30`` and ``top1_no-thr``.

    Args:
        topk: One k or several.
        thrs: The score of the class must be above this value; one or several, None for no threshold.
        prefix: What stands before the names; ``accuracy`` if None.

    Raises:
        ValueError: A k is below 1 or, as soon as scores are seen, above the number of classes.
    """

    PREFIX = 'accuracy'

    def __init__(
        self,
        topk: int | Sequence[int] = 1,
        thrs: float | Sequence[float | None] | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix)
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        self.thrs = as_thresholds(thrs)
        if not self.topk or min(self.topk) < 1:
            raise ValueError(f'topk needs values of at least 1, not {topk}')

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """For each threshold how many samples have their class at which rank: ``ranks`` ``(T, C)``; and ``num``."""
        num_classes = score_nc.shape[1]
        if max(self.topk) > num_classes:
            raise ValueError(f'top-{max(self.topk)} accuracy needs more than the {num_classes} classes of the model')
        label_n = as_labels(target, num_classes)
        rank_n = ranks_of_labels(score_nc, label_n)
        own_n = np.take_along_axis(score_nc, label_n[:, None], axis=1)[:, 0]
        counted_tn = [np.full(len(rank_n), True) if thr is None else own_n > thr for thr in self.thrs]
        # A class whose score is NaN has the rank C, which no k reaches: it is cut off.
        ranks = [np.bincount(rank_n[counted_n], minlength=num_classes)[:num_classes] for counted_n in counted_tn]
        return {'ranks': np.stack(ranks), 'num': np.array(len(rank_n))}

    @property
    def num_classes(self) -> int:
        """C, as soon as something was counted."""
        return self.counted('ranks').shape[1]

    def percent(self, k: int) -> list[float]:
        """Top-k accuracy for each threshold; any k up to C can be asked for."""
        hits_t = self.counted('ranks')[:, :k].sum(axis=1)
        return (100.0 * hits_t / self.counted('num')).tolist()

    def values(self) -> dict[str, Any]:
        """Percent for each k and threshold."""
        return {
            f'top{k}{threshold_suffix(self.thrs, thr)}': value
            for k in self.topk
            for thr, value in zip(self.thrs, self.percent(k), strict=True)
        }


def threshold_suffix(thrs: Sequence[float | None], thr: float | None) -> str:
    """What one of several thresholds adds to a name; a single one adds nothing."""
    if len(thrs) == 1:
        return ''
    return '_no-thr' if thr is None else f'_thr-{thr:.2f}'
