"""The metrics of Pascal VOC: what its difficult objects count as."""

from __future__ import annotations

from typing import Any

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.engine.metrics.metric import State
from intarsia.tasks.classification.metrics.average_precision import AveragePrecision
from intarsia.tasks.classification.metrics.multi_label import MultiLabelMetric


def settle_difficult(target: np.ndarray, as_positive: bool | None) -> np.ndarray:
    """Targets with their -1 counted as there (True) or not there (False); None keeps them."""
    return target if as_positive is None else np.where(target == -1, int(as_positive), target)


@METRICS.register_module()
class VOCMultiLabelMetric(MultiLabelMetric):
    """:class:`MultiLabelMetric` that decides what difficult classes are; needs a data set that marks them by -1.

    Args:
        difficult_as_positive: They count as there (True), as not there (False), or as ``difficult`` says (None).
        **kwargs: Of :class:`MultiLabelMetric`.
    """

    def __init__(self, difficult_as_positive: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.difficult_as_positive = difficult_as_positive

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """As the base class, with targets settled."""
        return super().measure(score_nc, settle_difficult(target, self.difficult_as_positive))


@METRICS.register_module()
class VOCAveragePrecision(AveragePrecision):
    """:class:`AveragePrecision` that decides what difficult classes are; needs a data set that marks them by -1.

    Args:
        difficult_as_positive: They count as there (True), as not there (False), or are left out (None).
        **kwargs: Of :class:`AveragePrecision`.
    """

    def __init__(self, difficult_as_positive: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.difficult_as_positive = difficult_as_positive

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """As the base class, with targets settled."""
        return super().measure(score_nc, settle_difficult(target, self.difficult_as_positive))
