"""IoU, Dice and F-score, counted image by image.

Shapes: h rows, w columns, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.tasks.segmentation.metrics.confusion import count_pairs
from intarsia.tasks.segmentation.metrics.scores import areas, check_names, class_scores, mean_scores


@METRICS.register_module()
class IoUMetric:
    """Means over classes, in percent with two decimals: ``aAcc``, ``mIoU``, ``mAcc``, ...

    Only integers are counted, so that how images are split into batches and processes changes no bit of the result;
    what is kept does not grow with their number.

    Args:
        ignore_index: Pixels with this true class do not count; None counts all.
        iou_metrics: ``'mIoU'``, ``'mDice'``, ``'mFscore'``.
        nan_to_num: Value of a class that cannot be said; None leaves it out of the mean.
        beta: Weight of the recall against the precision in the F-score.
        prefix: What stands before the names, ``PREFIX/mIoU``; nothing if None.

    Raises:
        ValueError: A metric is unknown.
    """

    def __init__(
        self,
        ignore_index: int | None = 255,
        iou_metrics: Sequence[str] = ('mIoU',),
        nan_to_num: float | None = None,
        beta: float = 1,
        prefix: str | None = None,
    ) -> None:
        check_names(iou_metrics)
        self.ignore_index = ignore_index
        self.iou_metrics = tuple(iou_metrics)
        self.nan_to_num = nan_to_num
        self.beta = beta
        self.prefix = prefix
        self._pairs: np.ndarray | None = None

    def update(self, pred_hw: np.ndarray, target_hw: np.ndarray, num_classes: int) -> None:
        """Count an image; see :func:`~intarsia.tasks.segmentation.metrics.confusion.count_pairs`."""
        self._add(count_pairs(pred_hw, target_hw, num_classes, self.ignore_index))

    def _add(self, pairs: np.ndarray) -> None:
        self._pairs = pairs.copy() if self._pairs is None else self._pairs + pairs

    @property
    def pairs(self) -> np.ndarray:
        """What was counted, int64 ``(C + 1, C + 1)``: rows are true classes, columns answers, the last ones the rest.

        Raises:
            ValueError: Nothing was counted.
        """
        if self._pairs is None:
            raise ValueError(f'{type(self).__name__} has counted no images')
        return self._pairs

    def scores(self) -> dict[str, np.ndarray]:
        """Fractions by name and class; see :func:`~intarsia.tasks.segmentation.metrics.scores.class_scores`."""
        return class_scores(*areas(self.pairs), self.iou_metrics, self.nan_to_num, self.beta)

    def compute(self) -> dict[str, float]:
        """The means by name.

        Raises:
            ValueError: Nothing was counted.
        """
        prefix = f'{self.prefix}/' if self.prefix else ''
        return {f'{prefix}{name}': value for name, value in mean_scores(self.scores()).items()}

    def state(self) -> dict[str, Any]:
        """What was counted; later updates do not change it."""
        return {} if self._pairs is None else {'pairs': self._pairs.copy()}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another metric of the same settings counted."""
        if state:
            self._add(state['pairs'])

    def reset(self) -> None:
        """Forget what was counted."""
        self._pairs = None
