"""How ours computes what the recorded metrics of segmentation computed."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.metrics.confusion import count_pairs, relabel
from intarsia.tasks.segmentation.metrics.evaluator import SegmentationEvaluator
from intarsia.tasks.segmentation.metrics.iou_metric import IoUMetric
from intarsia.tasks.segmentation.metrics.scores import areas, class_scores
from intarsia.tasks.segmentation.results import SegmentationResult
from tests.golden import inference_segmentation

ALL = ('mIoU', 'mDice', 'mFscore')
BATCH = 2

DELIBERATE = {
    r'mmsegmentation.*/float32-sum': 'areas are added up exactly',
    r'mmsegmentation-1.*/SegTTAModel/.*-2$': 'the old one takes the sigmoid of a probability',
}
"""As in the module of all metrics."""


# ---------------------------------------------------------------------- single functions


def _areas(
    pred_label: np.ndarray,
    label: np.ndarray,
    num_classes: int,
    ignore_index: int = 255,
    label_map: Mapping[Any, int] | None = None,
    reduce_zero_label: bool = False,
) -> tuple[np.ndarray, ...]:
    """Intersection, union, answered and true pixels of each class."""
    numbers = {int(old): new for old, new in (label_map or {}).items()}
    target = relabel(label, numbers, reduce_zero_label, ignore_index)
    right, answered, true = areas(count_pairs(pred_label, target, num_classes, ignore_index))
    return right, answered + true - right, answered, true


def _total_areas(results: Any, gt_seg_maps: Any, **options: Any) -> list[np.ndarray]:
    images = [_areas(pred, target, **options) for pred, target in zip(results, gt_seg_maps, strict=True)]
    return [sum(parts) for parts in zip(*images, strict=True)]


def _eval_metrics(
    results: Any,
    gt_seg_maps: Any,
    metrics: str | Sequence[str] = ('mIoU',),
    nan_to_num: float | None = None,
    beta: float = 1,
    **options: Any,
) -> dict[str, np.ndarray]:
    right, _, answered, true = _total_areas(results, gt_seg_maps, **options)
    names = [metrics] if isinstance(metrics, str) else metrics
    return class_scores(right, answered, true, names, nan_to_num, beta)


def _only(metric: str) -> Callable[..., Any]:
    return lambda **named: _eval_metrics(metrics=metric, **named)


def _pre_eval_to_metrics(
    results: Any = None, gt_seg_maps: Any = None, n: int = 0, rzl: bool = False, areas: Any = None
) -> Any:
    return _eval_metrics(results, gt_seg_maps, ALL, num_classes=n, reduce_zero_label=rzl)


def _total_area_to_metrics(a: Any = None, areas: Any = None, metrics: Sequence[str] = ('mIoU',)) -> Any:
    images = [a] if areas is None else areas
    right, _, answered, true = (sum(np.array(image[k]) for image in images) for k in range(4))
    return class_scores(right, answered, true, metrics)


# ---------------------------------------------------------------------- protocols


class _Masks:
    """A data set that is nothing but its masks."""

    def __init__(self, masks: Sequence[np.ndarray], num_classes: int, reduce_zero_label: bool = False) -> None:
        self.CLASSES = [f'c{i}' for i in range(num_classes)]
        self.ignore_index = 255
        self.reduce_zero_label = reduce_zero_label
        self.masks = masks

    def get_gt_seg_map_by_idx(self, index: int) -> np.ndarray:
        return self.masks[index]


def _evaluated(dataset: _Masks, results: Sequence[np.ndarray], metric: Any) -> dict[str, Any]:
    """Counted by two evaluators in turns, as by two processes."""
    evaluators = [SegmentationEvaluator(dataset, metric) for _ in range(2)]
    for number, start in enumerate(range(0, len(results), BATCH)):
        batch = [SegmentationResult(mask) for mask in results[start : start + BATCH]]
        evaluators[number % 2].update(batch, {'sample_idx': np.arange(start, start + len(batch))})
    evaluators[0].merge(evaluators[1].state())
    return evaluators[0].compute()


def _dataset_evaluate(results: Any, gt_seg_maps: Any, n: int, rzl: bool, metric: Sequence[str]) -> dict[str, Any]:
    return _evaluated(_Masks(gt_seg_maps, n, rzl), results, metric)


def _iou_metric(results: Any, gt_seg_maps: Any, n: int, metric: Any = None, **options: Any) -> dict[str, Any]:
    if metric is not None:
        return _evaluated(_Masks(gt_seg_maps, n), results, {'type': 'IoUMetric', **metric})
    ours = IoUMetric(iou_metrics=ALL, **options)
    for pred, target in zip(results, gt_seg_maps, strict=True):
        ours.update(pred, target, n)
    return ours.scores()


def more_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says elsewhere than in its arguments: names of metrics in its code, the operation in its id."""
    written = re.search(r'evaluate\(.*metric=(\[[^]]*\])', record['code'])
    if OURS[record['function']] is inference_segmentation.run:
        return {'operation': record['id'].split('/')[1]}
    return {'metric': ast.literal_eval(written[1])} if written else {}


def _resize(x: np.ndarray, **arguments: Any) -> torch.Tensor:
    return resize(torch.as_tensor(x), **arguments)


OURS: dict[str, Callable[..., Any]] = {
    'mmseg.core.evaluation.metrics.eval_metrics': _eval_metrics,
    'mmseg.core.evaluation.metrics.intersect_and_union': _areas,
    'mmseg.core.evaluation.metrics.mean_dice': _only('mDice'),
    'mmseg.core.evaluation.metrics.mean_fscore': _only('mFscore'),
    'mmseg.core.evaluation.metrics.mean_iou': _only('mIoU'),
    'mmseg.core.evaluation.metrics.pre_eval_to_metrics': _pre_eval_to_metrics,
    'mmseg.core.evaluation.metrics.total_area_to_metrics': _total_area_to_metrics,
    'mmseg.core.evaluation.metrics.total_intersect_and_union': _total_areas,
    'mmseg.datasets.CustomDataset': _dataset_evaluate,
    'mmseg.evaluation.metrics.IoUMetric': _iou_metric,
    'mmseg.evaluation.metrics.IoUMetric.intersect_and_union': _areas,
    'mmseg.models.EncoderDecoder': inference_segmentation.run,
    'mmseg.models.SegTTAModel': inference_segmentation.run,
    'mmseg.models.utils.resize': _resize,
    'mmseg.ops.resize': _resize,
}
"""Old function or class -> how ours computes the same."""
