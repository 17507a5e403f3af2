"""Makes metrics of the results of a classifier, as the ``evaluation`` section of a config asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from intarsia.core.errors import DataError, closest
from intarsia.core.registries import METRICS
from intarsia.engine.metric import as_thresholds
from intarsia.engine.metric_evaluator import MetricEvaluator
from intarsia.tasks.classification.metrics.accuracy import Accuracy
from intarsia.tasks.classification.metrics.average_precision import AveragePrecision
from intarsia.tasks.classification.metrics.confusion_matrix import ConfusionMatrix
from intarsia.tasks.classification.metrics.multi_label import MultiLabelMetric
from intarsia.tasks.classification.metrics.single_label import SingleLabelMetric

SINGLE_LABEL_NAMES = ('accuracy', 'support', 'precision', 'recall', 'f1_score')
MULTI_LABEL_NAMES = ('mAP', 'CP', 'CR', 'CF1', 'OP', 'OR', 'OF1')
USUAL_TOPK = (1, 5)
MAX_MATRIX_CLASSES = 1000
"""With more classes no confusion matrix is counted along: it would outgrow the model."""


class ClassificationEvaluator(MetricEvaluator):
    """The metrics of one data set; see :class:`intarsia.engine.evaluator.Evaluator`.

    Named metrics of data sets with one label a sample are ``accuracy`` (reported as ``accuracy_top-1``,
    ``accuracy_top-5``), ``precision``, ``recall``, ``f1_score`` and ``support``; with several labels a sample ``mAP``,
    ``CP``, ``CR``, ``CF1``, ``OP``, ``OR`` and ``OF1``. All but ``support`` are percentages. Metrics of METRICS report
    under their own names.

    Args:
        dataset: Its ``get_gt_labels()`` gives targets where batches have no ``gt_label``; may be None.
        metric: A name, a node or a list of such; None is ``accuracy``, or ``mAP`` for several labels a sample. A node
            has a name with options of its own (``dict(type='accuracy', topk=(1, 3))``) or a metric of METRICS.
        topk: Of the accuracy: one k (reported as ``accuracy``) or several. None is (1, 5), without the 5 if the model
            has fewer classes; a k that is asked for must not exceed their number.
        thrs: Of all metrics for one label: only scores above this value count; one or several (reported with the
            suffix ``_thr_0.30``), None for no threshold.
        average_mode: Of precision, recall, F1 and support: ``'macro'`` is the mean over classes (of support: the
            sum), ``'micro'`` takes all classes together, ``'none'`` gives a list over classes.
        k: Of CP ... OF1: without ``thr`` the k best classes are answered.
        thr: Of CP ... OF1: classes whose score is at least this value are answered; 0.5 if neither is given.
        difficult: Of CP ... OF1: whether a label -1 counts as not there, as the older toolboxes had it, or is left out.

    Raises:
        ValueError: A name is unknown, or is none of the data set's kind; an option has no such value.
    """

    def __init__(
        self,
        dataset: Any = None,
        metric: str | Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        topk: int | Sequence[int] | None = None,
        thrs: float | Sequence[float | None] | None = None,
        average_mode: Literal['macro', 'micro', 'none'] = 'macro',
        k: int | None = None,
        thr: float | None = None,
        difficult: Literal['negative', 'ignored'] = 'negative',
    ) -> None:
        super().__init__()
        self._labels: np.ndarray | None = dataset.get_gt_labels() if hasattr(dataset, 'get_gt_labels') else None
        asked = [metric] if isinstance(metric, (str, Mapping)) else list(metric or ())
        nodes = [each for each in asked if isinstance(each, Mapping)]
        names = [each for each in asked if not isinstance(each, Mapping)]
        is_multi_label = self._is_multi_label(names or [node.get('type') for node in nodes])
        if not asked:
            names = ['mAP'] if is_multi_label else ['accuracy']
        _check_names(names, MULTI_LABEL_NAMES if is_multi_label else SINGLE_LABEL_NAMES, is_multi_label)
        self._matrix = None if is_multi_label else ConfusionMatrix()
        if is_multi_label:
            self._add_multi_label(names, thr, k, difficult)
        else:
            self._add_single_label(names, topk, thrs, average_mode)
        options = dict(topk=topk, thrs=thrs, average_mode=average_mode, k=k, thr=thr, difficult=difficult)
        for node in nodes:
            if node.get('type') in (MULTI_LABEL_NAMES if is_multi_label else SINGLE_LABEL_NAMES):
                named = {**options, **node}
                inner = ClassificationEvaluator(dataset, named.pop('type'), **named)
                self.parts += [part for part in inner.parts if part[0] is not inner._matrix]
            else:
                built = METRICS.of('classification').build(node)
                self.parts.append((built, built.compute))
        if self._matrix is not None:
            self.parts.append((self._matrix, dict))  # counted along, for pictures

    def _is_multi_label(self, names: Sequence[str]) -> bool:
        if self._labels is not None:
            return self._labels.ndim == 2
        return bool(names) and set(names) <= set(MULTI_LABEL_NAMES)

    # ------------------------------------------------------------------ named metrics

    def _add_single_label(
        self,
        names: Sequence[str],
        topk: int | Sequence[int] | None,
        thrs: float | Sequence[float | None] | None,
        average: Literal['macro', 'micro', 'none'],
    ) -> None:
        suffixes = [_suffix(thr) for thr in as_thresholds(thrs)] if isinstance(thrs, Sequence) else ['']
        if 'accuracy' in names:
            accuracy = Accuracy(topk=1 if topk is None else topk, thrs=thrs)
            self.parts.append((accuracy, partial(_report_accuracy, accuracy, topk, suffixes)))
        items = [name for name in SINGLE_LABEL_NAMES if name in names and name != 'accuracy']
        if items:
            single = SingleLabelMetric(thrs=thrs, average=average)
            self.parts.append((single, partial(_report_precision, single, items, suffixes)))

    def _add_multi_label(
        self, names: Sequence[str], thr: float | None, k: int | None, difficult: Literal['negative', 'ignored']
    ) -> None:
        if 'mAP' in names:
            area = AveragePrecision()
            self.parts.append((area, area.values))
        items = [name for name in MULTI_LABEL_NAMES if name in names and name != 'mAP']
        if items:
            multi = MultiLabelMetric(thr=thr, topk=k, difficult=difficult)
            self.parts.append((multi, partial(_report_overall, multi, items)))

    # ------------------------------------------------------------------ counting

    def update(self, results: Sequence[Any], batch: Mapping[str, Any]) -> None:
        """Count one batch.

        Args:
            results: :class:`~intarsia.tasks.classification.results.ClassificationResult` of each sample.
            batch: ``gt_label`` (``(N,)``, or ``(N, C)`` for several labels a sample), or else ``sample_idx`` ``(N,)``.

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
            if metric is not self._matrix or score_nc.shape[1] <= MAX_MATRIX_CLASSES:
                metric.update(score_nc, target)

    def _targets(self, batch: Mapping[str, Any]) -> np.ndarray:
        if 'gt_label' in batch:
            return torch.as_tensor(batch['gt_label']).cpu().numpy()
        if self._labels is None or 'sample_idx' not in batch:
            raise DataError(
                "there is nothing to compare results with: the pipeline does not keep 'gt_label' "
                'and the data set has no get_gt_labels()'
            )
        return self._labels[torch.as_tensor(batch['sample_idx']).cpu().numpy().reshape(-1)]

    @property
    def confusion_matrix(self) -> np.ndarray | None:
        """Int64 ``(C, C)``, rows are true classes; None for several labels a sample, above 1,000 classes, or so far."""
        return self._matrix.matrix if self._matrix is not None and self._matrix.state() else None


def _check_names(names: Sequence[Any], known: Sequence[str], is_multi_label: bool) -> None:
    for name in names:
        if name not in known:
            close = closest(str(name), known)
            hint = f" Did you mean '{close}'?" if close else ''
            kind = 'several labels a sample' if is_multi_label else 'one label a sample'
            raise ValueError(f"there is no metric '{name}' for {kind}.{hint} There are: {', '.join(known)}.")


def _report_accuracy(accuracy: Accuracy, topk: int | Sequence[int] | None, suffixes: Sequence[str]) -> dict[str, float]:
    if topk is None:
        ks = {f'accuracy_top-{k}': k for k in USUAL_TOPK if k <= accuracy.num_classes}
    elif isinstance(topk, int):
        ks = {'accuracy': topk}
    else:
        ks = {f'accuracy_top-{k}': k for k in topk}
    return {
        f'{name}{suffix}': value
        for name, k in ks.items()
        for suffix, value in zip(suffixes, accuracy.percent(k), strict=True)
    }


def _report_precision(metric: SingleLabelMetric, names: Sequence[str], suffixes: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in names:
        found = [result.items()[name.replace('f1_score', 'f1-score')].tolist() for result in metric.results()]
        if name == 'support':
            values[name] = found[0]
        else:
            values.update({f'{name}{suffix}': value for suffix, value in zip(suffixes, found, strict=True)})
    return values


def _report_overall(metric: MultiLabelMetric, names: Sequence[str]) -> dict[str, float]:
    values = metric.overall()
    return {name: values[name] for name in names}


def _suffix(thr: float | None) -> str:
    return '_no_thr' if thr is None else f'_thr_{thr:.2f}'
