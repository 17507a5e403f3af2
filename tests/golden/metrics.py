"""Runs a recorded metric: the same scores and targets go through ours, in batches, and the values are compared."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.registries import DATASETS
from intarsia.engine.metrics.confusion_matrix import ConfusionMatrix
from intarsia.engine.metrics.metric import Metric
from intarsia.models.losses.accuracy import accuracy
from intarsia.tasks.classification.metrics.accuracy import Accuracy
from intarsia.tasks.classification.metrics.average_precision import AveragePrecision, average_precision
from intarsia.tasks.classification.metrics.evaluator import ClassificationEvaluator
from intarsia.tasks.classification.metrics.multi_label import MultiLabelMetric
from intarsia.tasks.classification.metrics.single_label import SingleLabelMetric
from intarsia.tasks.classification.results import ClassificationResult
from tests.golden import metrics_action, metrics_action_localization, metrics_codecs, metrics_pose, metrics_segmentation
from tests.golden.fill import tuples
from tests.golden.formulas import compare, inputs_of, onehot
from tests.golden.outcome import Outcome

BATCH = 7

DELIBERATE = {
    r'mmcls.*/accuracy_numpy/empty': 'nothing counted is an error, not NaN',
    r'mmcls.*/accuracy_torch/thr-none': 'None is no threshold, not an error',
    r'mmcls.*/mAP/after': 'targets are not changed in place',
    r'mmpretrain.*/Accuracy.calculate/wrong-thrs': 'of equal scores the lower class comes first, not any',
    r'mmpretrain.*/Accuracy/thr-int': 'an int threshold is taken, not an error',
    r'mmpretrain.*/AveragePrecision.*/alldifficult': 'a class with difficult samples only has AP 0, as in 0.x',
    r'mmpretrain.*/MultiLabelMetric/\w+-thr0': 'the threshold 0.0 is named _thr-0.00, not _topNone',
    **metrics_segmentation.DELIBERATE,
    **metrics_codecs.DELIBERATE,
    **metrics_pose.DELIBERATE,
    **metrics_action.DELIBERATE,
    **metrics_action_localization.DELIBERATE,
}
"""Where the old values are mistakes or errors that ours leave out: id -> what ours does. They count as missing."""


# ---------------------------------------------------------------------- single functions


def _counted(metric: Metric, pred: np.ndarray, target: np.ndarray) -> Any:
    for start in range(0, len(pred), BATCH):
        metric.update(pred[start : start + BATCH], target[start : start + BATCH])
    return metric


def _as_scores(pred: np.ndarray, num_classes: int | None = None) -> np.ndarray:
    return pred if pred.ndim == 2 else onehot(pred, num_classes or int(pred.max(initial=0)) + 1)


def _arrays(values: Any) -> Any:
    """Nested lists of numbers as lists of arrays: the newer generation gave a tensor where the older gave a number."""
    return [_arrays(value) for value in values] if isinstance(values, list) else np.array(values)


def _accuracy_torch(pred: Any, target: Any, topk: Sequence[int] = (1,), thrs: Any = 0.0) -> Any:
    return accuracy(pred, target, topk, thrs)


def _accuracy_numpy(pred: Any, target: Any, topk: Sequence[int] = (1,), thrs: Any = 0.0) -> Any:
    metric = _counted(Accuracy(topk, thrs), pred, target)
    return [metric.percent(k) if isinstance(thrs, tuple) else metric.percent(k)[0] for k in topk]


def _accuracy_calculate(pred: Any, target: Any, topk: Sequence[int] = (1,), thrs: Sequence[Any] = (0.0,)) -> Any:
    num_classes = max(pred.max(initial=0), target.max(initial=0)) + 1
    metric = _counted(Accuracy(topk, thrs), _as_scores(pred, int(num_classes)), target)
    per_k = [[np.array([value]) for value in metric.percent(k)] for k in topk]
    return per_k if pred.ndim == 2 else per_k[0][0]


def _precision_recall_f1(pred: Any, target: Any, average_mode: Any = 'macro', thrs: Any = 0.0) -> Any:
    per_threshold = _prf_of(SingleLabelMetric(thrs, average=average_mode), pred, target)
    per_item = [list(item) for item in zip(*per_threshold, strict=True)][:3]
    return per_item if isinstance(thrs, tuple) else [item[0] for item in per_item]


def _single_calculate(
    pred: Any, target: Any, thrs: Any = (0.0,), average: Any = 'macro', num_classes: int | None = None
) -> Any:
    per_threshold = _prf_of(SingleLabelMetric(thrs, average=average), _as_scores(pred, num_classes), target)
    return _arrays(per_threshold if pred.ndim == 2 else per_threshold[0])


def _prf_of(metric: SingleLabelMetric, pred: np.ndarray, target: np.ndarray) -> list[Any]:
    metric.merge(metric.measure(pred, target))
    return [list(result) for result in metric.results()]


def _support(pred: Any, target: Any, average_mode: Any = 'macro') -> Any:
    return _single_calculate(pred, target, average=average_mode)[0][3]


def _average_performance(pred: Any, target: Any, thr: Any = None, k: Any = None) -> Any:
    return list(_counted(MultiLabelMetric(thr, k, difficult='negative'), pred, target).overall().values())


def _multi_calculate(pred: Any, target: Any, average: Any = 'macro', thr: Any = None, topk: Any = None) -> Any:
    return _arrays(list(_counted(MultiLabelMetric(thr, topk), pred, target).result(average)))


def _map(pred: Any, target: Any) -> float:
    return _counted(AveragePrecision(), pred, target).values()['mAP']


def _map_calculate(pred: Any, target: Any, average: Any = 'macro') -> Any:
    percent = 100 * _counted(AveragePrecision(), pred, target).by_class()
    return percent.mean() if average == 'macro' else percent


def _ap_by_class(pred: Any, target: Any) -> list[float]:
    return [average_precision(score, truth) for score, truth in zip(pred.T, target.T, strict=True)]


def _confusion(pred: Any, target: Any) -> np.ndarray:
    metric = ConfusionMatrix()
    metric.merge(metric.measure(pred, target))
    return metric.matrix


# ---------------------------------------------------------------------- protocols


class _Labelled:
    """A data set that is nothing but its labels."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def get_gt_labels(self) -> np.ndarray:
        return self.labels


def _evaluated(dataset: Any, pred: np.ndarray, metric: Any, options: Mapping[str, Any] | None = None) -> Any:
    evaluator = ClassificationEvaluator(dataset, metric, **(options or {}))
    results = [ClassificationResult.of(scores, ()) for scores in pred]
    for start in range(0, len(results), BATCH):
        batch = results[start : start + BATCH]
        evaluator.update(batch, {'sample_idx': np.arange(start, start + len(batch))})
    return evaluator.compute()


def _dataset_evaluate(pred: Any, target: Any, metric: Any, metric_options: Any = None) -> Any:
    return _evaluated(_Labelled(target), pred, metric, metric_options)


def _voc_evaluate(images: Any, pred: Any, difficult: bool | None) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / 'VOC2007'
        (root / 'Annotations').mkdir(parents=True)
        for i, objects in enumerate(images):
            text = ''.join(f'<object><name>{n}</name><difficult>{d}</difficult></object>' for n, d in objects)
            (root / 'Annotations' / f'{i}.xml').write_text(f'<annotation>{text}</annotation>')
        (root / 'list.txt').write_text('\n'.join(str(i) for i in range(len(images))))
        node = dict(type='VOC', data_prefix=str(root), ann_file=str(root / 'list.txt'), difficult_as_postive=difficult)
        dataset = DATASETS.of('classification').build(node)
    names = ['mAP', 'CP', 'CR', 'CF1', 'OP', 'OR', 'OF1']
    return {'gt': dataset.get_gt_labels(), **_evaluated(dataset, pred, names)}


def _node(name: str) -> Callable[..., Any]:
    """A metric of the newer generation, as a node of ``evaluation.metric``."""

    def evaluate(pred: Any, target: Any, **arguments: Any) -> Any:
        values = _evaluated(_Labelled(target), pred, {'type': name, **arguments})
        return {key: np.array(value) for key, value in values.items()}

    return evaluate


def _voc_node(name: str) -> Callable[..., Any]:
    """As :func:`_node`, with targets from lists of labels and of difficult ones."""

    def evaluate(pred: Any, labels: Any, difficult: Any, **arguments: Any) -> Any:
        target = np.zeros(pred.shape, np.int8)
        for row, easy, hard in zip(target, labels, difficult, strict=True):
            row[hard] = -1
            row[easy] = 1
        return _node(name)(pred, target, **arguments)

    return evaluate


OURS: dict[str, Callable[..., Any]] = {
    'mmcls.core.evaluation.average_performance': _average_performance,
    'mmcls.core.evaluation.calculate_confusion_matrix': _confusion,
    'mmcls.core.evaluation.mAP': _map,
    'mmcls.core.evaluation.mean_ap.average_precision': _ap_by_class,
    'mmcls.core.evaluation.precision_recall_f1': _precision_recall_f1,
    'mmcls.core.evaluation.support': _support,
    'mmcls.datasets.BaseDataset': _dataset_evaluate,
    'mmcls.datasets.MultiLabelDataset': _dataset_evaluate,
    'mmcls.datasets.VOC': _voc_evaluate,
    'mmcls.models.losses.accuracy.accuracy_numpy': _accuracy_numpy,
    'mmcls.models.losses.accuracy.accuracy_torch': _accuracy_torch,
    'mmpretrain.evaluation.Accuracy': _node('Accuracy'),
    'mmpretrain.evaluation.Accuracy.calculate': _accuracy_calculate,
    'mmpretrain.evaluation.AveragePrecision': _node('AveragePrecision'),
    'mmpretrain.evaluation.AveragePrecision.calculate': _map_calculate,
    'mmpretrain.evaluation.ConfusionMatrix': _node('ConfusionMatrix'),
    'mmpretrain.evaluation.ConfusionMatrix.calculate': _confusion,
    'mmpretrain.evaluation.MultiLabelMetric': _node('MultiLabelMetric'),
    'mmpretrain.evaluation.MultiLabelMetric.calculate': _multi_calculate,
    'mmpretrain.evaluation.SingleLabelMetric': _node('SingleLabelMetric'),
    'mmpretrain.evaluation.SingleLabelMetric.calculate': _single_calculate,
    'mmpretrain.evaluation.VOCAveragePrecision': _voc_node('VOCAveragePrecision'),
    'mmpretrain.evaluation.VOCMultiLabelMetric': _voc_node('VOCMultiLabelMetric'),
    **metrics_segmentation.OURS,
    **metrics_codecs.OURS,
    **metrics_pose.OURS,
    **metrics_action.OURS,
    **metrics_action_localization.OURS,
}
"""Old function or class -> how ours computes the same."""


# ---------------------------------------------------------------------- running


def run(record: Mapping[str, Any]) -> Outcome:
    """Compare what ours gives with what a record stores."""
    function = OURS.get(record['function'])
    if function is None:
        return Outcome(missing=[record['function']])
    reason = _deliberate(record)
    if reason is not None:
        return Outcome(missing=[reason])
    named = inputs_of(record)
    if 'argmax(1)' in record['code'] and 'pred' in named:
        named = _with_labels(named, record)
    if record['task'] == 'segmentation':
        named.update(metrics_segmentation.more_of(record))
    named.update(metrics_codecs.more_of(record))
    if 'raises' in record:
        return _run_error(function, named, record)
    try:
        found = function(**named, **tuples(record['arguments']))
    except NotImplementedError as error:
        return Outcome(missing=[f'{record["function"]}: {error}'])
    keys_equal, deviation, wrong = compare(record, found)
    if wrong and record.get('ties'):
        return Outcome(missing=['the order of equal scores'])
    error = f'differ: {", ".join(wrong)}' if wrong else None
    return Outcome(built=True, keys_equal=keys_equal, equal=not wrong, max_rel=deviation, error=error)


def _deliberate(record: Mapping[str, Any]) -> str | None:
    """Why the old value is not what ours gives, if that is on purpose."""
    name = record['id'] if ' after=' not in record['code'] else 'mmcls/mAP/after'
    return next((reason for pattern, reason in DELIBERATE.items() if re.match(pattern, name)), None)


def _with_labels(named: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a record that hands over the best classes instead of scores."""
    pred = named['pred']
    more = {'num_classes': pred.shape[1]} if 'num_classes' in record['code'] else {}
    return {**named, 'pred': pred.argmax(1), **more}


def _run_error(function: Callable[..., Any], named: Mapping[str, Any], record: Mapping[str, Any]) -> Outcome:
    """Where the old code raised an error, ours must raise one too."""
    try:
        function(**named, **tuples(record['arguments']))
    except Exception:
        return Outcome(built=True, keys_equal=True, equal=True, max_rel=0.0)
    return Outcome(built=True, keys_equal=True, equal=False, error=f'no error; the old one was {record["raises"]}')
