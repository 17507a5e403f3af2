"""Several metrics of clips under the names of newer configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.engine.metrics.metric import Metric, State
from intarsia.tasks.action.metrics.evaluator import NAMES


@METRICS.register_module()
class AccMetric(Metric):
    """Metrics of clips as ``acc/top1``, ``acc/top5``, ``acc/mean1``, ``acc/mean_average_precision``.

    Args:
        metric_list: ``'top_k_accuracy'``, ``'mean_class_accuracy'``, ``'mean_average_precision'``,
            ``'mmit_mean_average_precision'``, one or several.
        metric_options: Arguments by name: ``dict(top_k_accuracy=dict(topk=(1, 5)))``.
        prefix: What stands before the names; ``acc`` if None.

    Raises:
        ValueError: A name is unknown.
    """

    PREFIX = 'acc'

    def __init__(
        self,
        metric_list: str | Sequence[str] = ('top_k_accuracy', 'mean_class_accuracy'),
        metric_options: Mapping[str, Any] | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix)
        names = [metric_list] if isinstance(metric_list, str) else list(metric_list)
        options = metric_options or {}
        self.metrics: list[Any] = [
            METRICS.of('action').build(
                {'type': NAMES[require_choice('metric_list', name, NAMES)], **options.get(name, {})}
            )
            for name in names
        ]

    def measure(self, score_nc: np.ndarray, target: np.ndarray) -> State:
        """What the metrics count."""
        return {name: part for metric in self.metrics for name, part in metric.measure(score_nc, target).items()}

    def values(self) -> dict[str, Any]:
        """The values of all, 0 ... 1."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            metric.reset()
            metric.merge(self.state())
            found |= metric.values()
        return {_short(name): value for name, value in found.items()}


def _short(name: str) -> str:
    """``top5_acc`` -> ``top5``."""
    return 'mean1' if name == 'mean_class_accuracy' else name.removesuffix('_acc')
