"""An evaluator of results that are class scores.

Shapes: n samples, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from intarsia.core.errors import DataError
from intarsia.engine.metrics.confusion_matrix import ConfusionMatrix
from intarsia.engine.metrics.evaluator import MetricEvaluator

MAX_MATRIX_CLASSES = 1000
"""With more classes no confusion matrix is counted along: it would outgrow the model."""


class ScoreEvaluator(MetricEvaluator):
    """Metrics of class scores; a subclass fills ``parts``.

    Attributes:
        labels: Targets of all samples, ``(N,)`` or ``(N, C)``; None if only batches tell.
        matrix: A confusion matrix that is counted along for pictures, or None.

    Args:
        dataset: Its ``get_gt_labels()`` gives targets where batches have none; may be None.
        target_key: Entry of a batch that holds targets.
    """

    def __init__(self, dataset: Any, target_key: str) -> None:
        super().__init__()
        self.labels: np.ndarray | None = dataset.get_gt_labels() if hasattr(dataset, 'get_gt_labels') else None
        self.target_key = target_key
        self.matrix: ConfusionMatrix | None = None

    def count_matrix(self) -> None:
        """Count a confusion matrix along."""
        self.matrix = ConfusionMatrix()
        self.parts.append((self.matrix, dict))

    def update(self, results: Sequence[Any], batch: Mapping[str, Any]) -> None:
        """Count one batch.

        Args:
            results: Of each sample; ``scores`` ``(C,)`` is what counts.
            batch: Targets under ``target_key`` (``(N,)``, or ``(N, C)`` for several labels a sample), or else
                ``sample_idx`` ``(N,)``.

        Raises:
            DataError: There are no targets, or they do not fit the classes of the model.
        """
        if not len(results):
            return
        score_nc = np.stack([result.scores for result in results])
        target = self._targets(batch)
        if len(target) != len(score_nc):
            raise DataError(f'there are {len(score_nc)} results, but {len(target)} targets')
        for metric, _ in self.parts:
            if metric is not self.matrix or score_nc.shape[1] <= MAX_MATRIX_CLASSES:
                metric.update(score_nc, target)

    def _targets(self, batch: Mapping[str, Any]) -> np.ndarray:
        if self.target_key in batch:
            return torch.as_tensor(batch[self.target_key]).cpu().numpy()
        if self.labels is None or 'sample_idx' not in batch:
            raise DataError(
                f"there is nothing to compare results with: the pipeline does not keep '{self.target_key}' "
                'and the data set has no get_gt_labels()'
            )
        return self.labels[torch.as_tensor(batch['sample_idx']).cpu().numpy().reshape(-1)]

    @property
    def confusion_matrix(self) -> np.ndarray | None:
        """Int64 ``(C, C)``, rows are true classes; None for several labels a sample, above 1,000 classes, or so far."""
        return self.matrix.matrix if self.matrix is not None and self.matrix.state() else None
