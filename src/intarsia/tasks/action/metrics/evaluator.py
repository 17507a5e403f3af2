"""Makes metrics of the results of a recognizer, as the ``evaluation`` section of a config asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from intarsia.core.errors import closest
from intarsia.core.registries import METRICS
from intarsia.engine.metrics.score_evaluator import ScoreEvaluator

NAMES = {
    'top_k_accuracy': 'TopKAccuracy',
    'mean_class_accuracy': 'MeanClassAccuracy',
    'mean_average_precision': 'MeanAveragePrecision',
    'mmit_mean_average_precision': 'MmitMeanAveragePrecision',
}
"""Names of metrics in configs, and what they are called in METRICS."""


class ActionEvaluator(ScoreEvaluator):
    """The metrics of one data set of clips; see :class:`intarsia.engine.evaluator.Evaluator`.

    Args:
        dataset: Its ``get_gt_labels()`` gives targets where batches have no ``label``; may be None.
        metric: ``top_k_accuracy``, ``mean_class_accuracy``, ``mean_average_precision``,
            ``mmit_mean_average_precision``, a node of METRICS or a list of such. None is the first two, or for data
            with several labels a clip the third.
        options: Arguments of the named metrics by name: ``dict(top_k_accuracy=dict(topk=(1, 5)))``; ``topk`` alone is
            that of the first.

    Raises:
        ValueError: A name is unknown, or options are for a metric that is not asked for.
    """

    def __init__(
        self,
        dataset: Any = None,
        metric: str | Mapping[str, Any] | Sequence[Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(dataset, 'label')
        is_multi_label = self.labels is not None and self.labels.ndim == 2
        usual = ['mean_average_precision'] if is_multi_label else ['top_k_accuracy', 'mean_class_accuracy']
        asked = usual if metric is None else [metric] if isinstance(metric, (str, Mapping)) else list(metric)
        options = dict(options or {})
        if 'topk' in options:
            options.setdefault('top_k_accuracy', {'topk': options.pop('topk')})
        unused = [name for name in options if name not in asked]
        if unused:
            raise ValueError(
                f'metric_options are for {", ".join(unused)}, but the metrics are '
                f'{", ".join(map(str, asked))}: write dict(top_k_accuracy=dict(topk=(1, 5)))'
            )
        for each in asked:
            node = each if isinstance(each, Mapping) else {'type': _component(each), **options.get(each, {})}
            built = METRICS.of('action').build(node)
            self.parts.append((built, built.compute))
        if not is_multi_label and not any('mean_average' in str(each) for each in asked):
            self.count_matrix()


def _component(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    if name in METRICS.of('action'):
        return name
    close = closest(str(name), NAMES)
    hint = f" Did you mean '{close}'?" if close else ''
    raise ValueError(f"there is no metric '{name}' of clips.{hint} There are: {', '.join(NAMES)}.")
