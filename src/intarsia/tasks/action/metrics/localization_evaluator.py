"""Makes metrics of segments, as the ``evaluation`` section of a config asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from intarsia.core.errors import DataError, closest
from intarsia.core.registries import METRICS
from intarsia.engine.metrics.evaluator import MetricEvaluator
from intarsia.tasks.action.localization_result import LocalizationResult

NAMES = {'AR@AN': 'AverageRecall', 'mAP': 'SegmentAP'}
"""Names of metrics in configs, and what they are called in METRICS."""


class LocalizationEvaluator(MetricEvaluator):
    """The metrics of one data set of streams; see :class:`intarsia.engine.evaluator.Evaluator`.

    Args:
        dataset: Its ``truth(index)`` is what results are compared with; its ``default_metrics`` are used where nothing
            else is given.
        metric: ``AR@AN``, ``mAP``, a node of METRICS or a list of such.
        options: Arguments of the named metrics by name: ``{'AR@AN': dict(max_avg_proposals=100)}``.

    Raises:
        ValueError: A name is unknown, options are for a metric that is not asked for, or the data set says that it
            cannot be evaluated (``unfit_for_evaluation``).
    """

    def __init__(
        self,
        dataset: Any,
        metric: str | Mapping[str, Any] | Sequence[Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        reason = getattr(dataset, 'unfit_for_evaluation', None)
        if reason is not None:
            raise ValueError(reason)
        self.dataset = dataset
        asked = metric if metric is not None else getattr(dataset, 'default_metrics', ('AR@AN',))
        asked = [asked] if isinstance(asked, (str, Mapping)) else list(asked)
        options = options or {}
        unused = [name for name in options if name not in asked]
        if unused:
            raise ValueError(
                f'metric_options are for {", ".join(unused)}, but the metrics are {", ".join(map(str, asked))}: write '
                "{'AR@AN': dict(max_avg_proposals=100)}"
            )
        for each in asked:
            node = each if isinstance(each, Mapping) else {'type': _component(each), **options.get(each, {})}
            built = METRICS.of('action').build(node)
            self.parts.append((built, built.compute))

    def update(self, results: Sequence[LocalizationResult], batch: Mapping[str, Any]) -> None:
        """Count one batch.

        Args:
            results: What the model found in each stream.
            batch: ``sample_idx`` ``(N,)``.

        Raises:
            DataError: It is not known which streams these are.
        """
        if 'sample_idx' not in batch or not hasattr(self.dataset, 'truth'):
            raise DataError('there is nothing to compare results with: the data set has no truth(index)')
        indices = torch.as_tensor(batch['sample_idx']).reshape(-1).tolist()
        for index, result in zip(indices, results, strict=True):
            truth = self.dataset.truth(index)
            for metric, _ in self.parts:
                metric.update(result, truth)


def _component(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    if name in METRICS.of('action'):
        return name
    close = closest(str(name), NAMES)
    hint = f" Did you mean '{close}'?" if close else ''
    raise ValueError(f"there is no metric '{name}' of segments.{hint} There are: {', '.join(NAMES)}.")
