"""Average precision. Shapes: n samples, c classes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.engine.metrics.metric import Metric, State, as_indicators


def average_precision(score_n: np.ndarray, target_n: np.ndarray) -> float:
    """Area under the precision-recall curve of one class, 0 ... 1, without interpolation.

    Of samples with equal scores those without the class come first: the order they are given in plays no part, and a
    model that cannot tell samples apart gains nothing by it.

    Args:
        score_n: Scores.
        target_n: 1 there, 0 not there; -1 leaves the sample out.

    Returns:
        The mean, over all samples with the class, of the precision down to the sample; 0 if there is none.
    """
    used_n = target_n != -1
    hit_n = target_n[used_n] == 1
    if not hit_n.any():
        return 0.0
    hit_n = hit_n[np.lexsort((hit_n, -score_n[used_n]))]
    precision_n = np.cumsum(hit_n) / np.arange(1, len(hit_n) + 1)
    return float(precision_n[hit_n].mean())


@METRICS.register_module()
class AveragePrecision(Metric):
    """Average precision of the classes, in percent. Targets are 1 there, 0 not there, -1 difficult (left out).

    Its value is ``mAP``, or ``AP_classwise``. Keeps all scores: 5 bytes for each sample and class.

    Args:
        average: ``'macro'`` is the mean over classes (mAP), ``'none'`` or None gives a list over classes.
        prefix: What stands before the names; ``multi-label`` if None.

    Raises:
        ValueError: The average is unknown.
    """

    PREFIX = 'multi-label'

    def __init__(self, average: Literal['macro', 'none'] | None = 'macro', prefix: str | None = None) -> None:
        super().__init__(prefix)
        if average not in ('macro', 'none', None):
            raise ValueError(f"average must be 'macro' or 'none', not {average!r}")
        self.average = average

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """``scores`` and ``targets``: lists of arrays ``(N, C)``."""
        return {'scores': [np.asarray(score_nc)], 'targets': [as_indicators(target, score_nc.shape)]}

    def by_class(self) -> np.ndarray:
        """Average precision of each class, 0 ... 1, float64 ``(C,)``."""
        score_nc, target_nc = (np.concatenate(self.counted(name)) for name in ('scores', 'targets'))
        pairs = zip(score_nc.T, target_nc.T, strict=True)
        return np.array([average_precision(score_n, target_n) for score_n, target_n in pairs])

    def values(self) -> dict[str, Any]:
        """The mean, or a list over classes."""
        percent_c = 100.0 * self.by_class()
        return {'mAP': float(percent_c.mean())} if self.average == 'macro' else {'AP_classwise': percent_c.tolist()}
