"""Makes metrics of poses, as the ``evaluation`` section of a config asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from intarsia.core.arguments import signature_of
from intarsia.core.errors import DataError, closest
from intarsia.core.registries import METRICS
from intarsia.engine.metrics.evaluator import MetricEvaluator
from intarsia.tasks.pose.results import PoseResult

NAMES: dict[str, dict[str, Any]] = {
    'mAP': dict(type='CocoMetric'),
    'PCK': dict(type='PCKAccuracy', thr=0.2),
    'PCKh': dict(type='MpiiPCKAccuracy'),
    'tPCK': dict(type='JhmdbPCKAccuracy', norm_item='torso'),
    'AUC': dict(type='AUC'),
    'EPE': dict(type='EPE'),
    'NME': dict(type='NME'),
}
"""Names of metrics in configs, and the nodes of METRICS that they mean."""


class PoseEvaluator(MetricEvaluator):
    """The metrics of one data set; see :class:`intarsia.engine.evaluator.Evaluator`.

    What a metric has to know of the data (names of files, sigmas, which joints make the norm) it asks of the data set,
    where its node does not say.

    Args:
        dataset: Its ``truth(index)`` is what results are compared with; its ``metric_arguments()`` and
            ``default_metrics`` are used where nothing else is given.
        metric: A name (``mAP``, ``PCK``, ``PCKh``, ``tPCK``, ``AUC``, ``EPE``, ``NME``), a node of METRICS or a list of
            such; None takes those of the data set.
        options: Arguments of the named metrics, for those that have them: ``pck_thr``, ``nms_thr``, ...

    Raises:
        ValueError: A metric is unknown, or an option belongs to none of them.
    """

    def __init__(
        self,
        dataset: Any,
        metric: str | Mapping[str, Any] | Sequence[Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        options = options or {}
        self.dataset = dataset
        asked = metric if metric is not None else getattr(dataset, 'default_metrics', ('mAP',))
        known = dataset.metric_arguments() if hasattr(dataset, 'metric_arguments') else {}
        unused = set(options)
        for each in [asked] if isinstance(asked, (str, Mapping)) else asked:
            node = each if isinstance(each, Mapping) else {**_node_of(each), **options}
            kind = METRICS.of('pose').get(node['type'])
            taken = signature_of(kind).arguments
            unused -= taken.keys()
            if not isinstance(each, Mapping):
                node = {key: value for key, value in node.items() if key == 'type' or key in taken}
            named = {} if isinstance(each, Mapping) else getattr(dataset, 'OF_NAMED_METRICS', {})
            told = {key: value for key, value in {**named, **known}.items() if key in taken}
            built = METRICS.of('pose').build({**told, **node})
            self.parts.append((built, built.compute))
        if unused:
            raise ValueError(f'no metric has the option {", ".join(sorted(unused))}')

    def update(self, results: Sequence[PoseResult], batch: Mapping[str, Any]) -> None:
        """Count one batch.

        Args:
            results: What the model found for each sample.
            batch: ``sample_idx`` ``(N,)``.

        Raises:
            DataError: It is not known which samples these are.
        """
        if 'sample_idx' not in batch or not hasattr(self.dataset, 'truth'):
            raise DataError('there is nothing to compare results with: the data set has no truth(index)')
        indices = torch.as_tensor(batch['sample_idx']).reshape(-1).tolist()
        for index, result in zip(indices, results, strict=True):
            truth = self.dataset.truth(index)
            for metric, _ in self.parts:
                metric.update(result, truth)


def _node_of(name: str) -> dict[str, Any]:
    """The node that a name of a metric means."""
    if name in NAMES:
        return NAMES[name]
    if name in METRICS.of('pose'):
        return dict(type=name)
    close = closest(name, NAMES)
    hint = f" Did you mean '{close}'?" if close else ''
    raise ValueError(f"there is no metric '{name}' of poses.{hint} There are: {', '.join(NAMES)}.")
