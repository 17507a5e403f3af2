"""Average precision of clips with several labels, 0 ... 1. Shapes: n clips, c classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.engine.metrics.metric import Metric, State, as_indicators


def precision_recall_curve(score_n: np.ndarray, target_n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision and recall for every score as a threshold, as scikit-learn gives them.

    Args:
        score_n: Scores.
        target_n: 1 there, else not.

    Returns:
        Precision and recall, recall falling, with an end at precision 1 and recall 0 appended; and the thresholds,
        rising, from the first one at which nothing is missed. NaN recall if nothing is there.
    """
    order = np.argsort(-score_n, kind='stable')
    score_n, hit_n = score_n[order], target_n[order] == 1
    last_of_equal = np.r_[np.flatnonzero(np.diff(score_n)), len(score_n) - 1]
    hits = np.cumsum(hit_n)[last_of_equal]
    with np.errstate(invalid='ignore'):
        recall = hits / hits[-1]
    reached = slice(int(np.searchsorted(hits, hits[-1])), None, -1)
    precision = hits / (last_of_equal + 1)
    return np.r_[precision[reached], 1], np.r_[recall[reached], 0], score_n[last_of_equal][reached]


def average_precision(score_n: np.ndarray, target_n: np.ndarray) -> float:
    """Area under the curve in steps; scores that are equal count together. NaN if nothing is there."""
    precision, recall, _ = precision_recall_curve(score_n, target_n)
    return float(-(np.diff(recall) * precision[:-1]).sum())


class _TableOfScores(Metric):
    """Keeps all scores and targets: 5 bytes for each clip and class."""

    PREFIX = ''

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """``scores`` and ``targets``: lists of arrays ``(N, C)``."""
        return {'scores': [np.asarray(score_nc)], 'targets': [as_indicators(target, score_nc.shape)]}

    def mean_over(self, axis: int) -> float:
        """The mean average precision of the classes (1) or of the clips (0); those without a label are left out."""
        scores, targets = (np.concatenate(self.counted(name)) for name in ('scores', 'targets'))
        rows = zip(*((each.T if axis == 1 else each) for each in (scores, targets)), strict=True)
        values = np.array([average_precision(score, target) for score, target in rows if (target == 1).any()])
        return float(np.sort(values).mean()) if len(values) else float('nan')


@METRICS.register_module()
class MeanAveragePrecision(_TableOfScores):
    """The mean over classes of their average precision: ``mean_average_precision``. Classes without clips are left out.

    Args:
        prefix: What stands before the name.
    """

    def values(self) -> dict[str, Any]:
        """The mean, 0 ... 1."""
        return {'mean_average_precision': self.mean_over(1)}


@METRICS.register_module()
class MmitMeanAveragePrecision(_TableOfScores):
    """The mean over clips of the average precision of their classes: ``mmit_mean_average_precision``.

    "Multi-Moments in Time" (Monfort et al., 2019, arXiv:1911.00232). Clips without a class are left out.

    Args:
        prefix: What stands before the name.
    """

    def values(self) -> dict[str, Any]:
        """The mean, 0 ... 1."""
        return {'mmit_mean_average_precision': self.mean_over(0)}
