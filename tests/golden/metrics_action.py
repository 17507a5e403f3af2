"""Runs recorded metrics of action recognition through ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from intarsia.core.registries import METRICS
from intarsia.engine.metrics.confusion_matrix import confusion_matrix
from intarsia.tasks.action.metrics.acc_metric import AccMetric
from intarsia.tasks.action.metrics.accuracy import MeanClassAccuracy, TopKAccuracy
from intarsia.tasks.action.metrics.average_precision import (
    MeanAveragePrecision,
    MmitMeanAveragePrecision,
    precision_recall_curve,
)
from intarsia.tasks.action.metrics.evaluator import ActionEvaluator
from intarsia.tasks.action.recognizer import Testing, average_views
from intarsia.tasks.action.results import ActionResult

DELIBERATE = {
    r'mmaction2.*/mmit_mean_average_precision/(absent|emptyrow|right|ties|usual)': 'clips without a class are left out, not NaN',
    r'mmaction2.*/dataset-evaluate/multi-(absent|usual|ties|right)': 'clips without a class are left out, not NaN',
    r'mmaction2.*/AccMetric/multi-(absent|usual|ties|right)': 'clips without a class are left out, not NaN',
    r'mmaction2.*/AccMetric/two-streams': 'streams are added by the data set of results, not by the metric',
    r'mmaction2.*/top_k_accuracy/wrong': 'of equal scores the lower class comes first, not any',
    r'mmaction2.*/top_k_accuracy/empty': 'nothing counted is an error, not NaN',
    r'mmaction2.*/mean_class_accuracy/empty': 'nothing counted is an error, not NaN',
}
"""Where the old values are not what ours gives, on purpose."""


def _value_of(metric: Any, scores: Any, labels: Any, batch: int = 7) -> Any:
    scores, labels = np.asarray(scores), np.asarray(labels)
    for start in range(0, len(scores), batch):
        metric.update(scores[start : start + batch], labels[start : start + batch])
    return metric


def _top_k_accuracy(scores: Any, labels: Any, topk: Any = (1,)) -> Any:
    metric = _value_of(TopKAccuracy(topk), scores, labels)
    return [metric.share(k) for k in topk]


def _mean_class_accuracy(scores: Any, labels: Any) -> float:
    return _value_of(MeanClassAccuracy(), scores, labels).share()


def _mean_of(kind: Any, axis: int) -> Callable[..., float]:
    return lambda scores, labels: _value_of(kind(), scores, labels).mean_over(axis)


def _curve(y_score: Any, y_true: Any) -> Any:
    return list(precision_recall_curve(np.asarray(y_score), np.asarray(y_true)))


def _confusion(scores: Any = None, labels: Any = None, normalize: str | None = None, **named: Any) -> Any:
    """Ours counts all classes; the old function those that occur."""
    predicted = np.asarray(scores).argmax(1) if scores is not None else np.asarray(named['y_pred'])
    true = np.asarray(labels if labels is not None else named['y_real'])
    occurring = np.unique(np.concatenate([predicted, true]))
    counts = confusion_matrix(predicted, true, int(occurring.max()) + 1)[np.ix_(occurring, occurring)]
    if normalize is None:
        return counts
    total = {'true': counts.sum(1, keepdims=True), 'pred': counts.sum(0, keepdims=True), 'all': counts.sum()}[normalize]
    with np.errstate(invalid='ignore'):
        return np.nan_to_num(counts / total)


def _dataset_evaluate(scores: Any, labels: Any, metrics: Any = None, metric_options: Any = None) -> Any:
    evaluator = ActionEvaluator(None, metrics or 'top_k_accuracy', metric_options)
    results = [ActionResult.of(row) for row in np.asarray(scores)]
    evaluator.update(results, {'label': torch.as_tensor(np.asarray(labels))})
    return evaluator.compute()


def _acc_metric(scores: Any, labels: Any, **arguments: Any) -> Any:
    return _value_of(AccMetric(**arguments), scores, labels).compute()


def _confusion_node(scores: Any, labels: Any, **arguments: Any) -> Any:
    values = _value_of(METRICS.of('action').build({'type': 'ConfusionMatrix', **arguments}), scores, labels).compute()
    return {name: np.asarray(value) for name, value in values.items()}


def _average(average_clips: str | None, num_segs: int, x: Any) -> Any:
    how = Testing(average_clips=average_clips).average_clips
    scores = average_views(torch.as_tensor(np.asarray(x, np.float32)), num_segs, how)
    return {'out': scores}


def _average_of_head(average_clips: str | None, num_segs: int, x: Any) -> Any:
    found = _average(average_clips, num_segs, x)['out']
    return {'out': found if average_clips else found.unflatten(0, (-1, num_segs))}


OURS: Mapping[str, Callable[..., Any]] = {
    'mmaction.models.BaseRecognizer': _average,
    'mmaction.models.BaseHead': _average_of_head,
    'mmaction.datasets.BaseDataset': _dataset_evaluate,
    'mmaction.evaluation.metrics.AccMetric': _acc_metric,
    'mmaction.evaluation.metrics.ConfusionMatrix': _confusion_node,
    **{
        f'{module}.{name}': function
        for module in ('mmaction.core.evaluation', 'mmaction.evaluation.functional')
        for name, function in {
            'top_k_accuracy': _top_k_accuracy,
            'mean_class_accuracy': _mean_class_accuracy,
            'mean_average_precision': _mean_of(MeanAveragePrecision, 1),
            'mmit_mean_average_precision': _mean_of(MmitMeanAveragePrecision, 0),
            'accuracy.binary_precision_recall_curve': _curve,
            'confusion_matrix': _confusion,
        }.items()
    },
}
"""Old function or class -> how ours computes the same."""
