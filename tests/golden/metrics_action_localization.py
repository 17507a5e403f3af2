"""Runs recorded metrics, labels and proposals of temporal localization through ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from intarsia.core.registries import LOCALIZERS
from intarsia.tasks.action.localization_result import LocalizationResult
from intarsia.tasks.action.localizers.boundary_matching import match_boundaries
from intarsia.tasks.action.localizers.localizer import pad_segments
from intarsia.tasks.action.localizers.proposals import Sampling, bsp_features, candidate_proposals, with_truth
from intarsia.tasks.action.localizers.suppression import soft_nms, temporal_nms
from intarsia.tasks.action.metrics.segment_matching import (
    average_precision,
    average_recall,
    interpolated_precision_recall,
)
from intarsia.tasks.action.metrics.segments import ACTIVITYNET, SegmentAP, Stream
from intarsia.tasks.action.temporal_overlap import pairwise_temporal_iou, temporal_iop, temporal_iou

DELIBERATE = {
    r'mmaction2.*/soft_nms/top5': 'top_k segments are kept, not one more',
    r'mmaction2.*/pairwise_temporal_iou/zero-length': 'two empty segments have the IoU 0, not NaN',
}
"""As in the module of all metrics."""

META = {'video_name': 'v_a', 'duration_frame': 1000, 'duration_second': 40.0}


# ---------------------------------------------------------------------- models


def _bmn(**named: Any) -> Any:
    """Labels, results, sampled features or tables, by what is given."""
    given = {name: named.pop(name) for name in ('gt', 'conf', 'start', 'end', 'x') if name in named}
    post = dict(soft_nms_alpha=0.4, soft_nms_low_threshold=0.5, soft_nms_high_threshold=0.9, post_process_top_k=20)
    model: Any = LOCALIZERS.of('action').build({'type': 'BMN', **named, **post})
    if 'gt' in given:
        return _labels(model, given['gt'])
    if 'conf' in given:
        scores = (np.asarray(given[name])[0] for name in ('conf', 'start', 'end'))
        found = model.result_of(META, *scores)
        return _rows(found)
    if 'x' in given:
        return _sampled(model, torch.as_tensor(given['x']))
    index = np.arange(model.tscale)
    begins = np.tile(index / model.tscale, model.tscale)
    return {
        'bm_mask': model.bm_mask,
        'match_map': np.stack([begins, begins + np.repeat((index + 1) / model.tscale, model.tscale)], 1),
        'sample_mask': model.sample_mask,
        'tmins': (index - 0.5) / model.tscale,
        'tmaxs': (index + 1.5) / model.tscale,
    }


def _sampled(model: Any, feat_bct: torch.Tensor) -> torch.Tensor:
    """All samples ``(B, C, N, D, T)``: each is a convolution that takes one channel of one sample."""
    channels, num = feat_bct.shape[1], model.num_samples
    weight_ocn = torch.eye(channels * num).view(channels, num, channels, num).flatten(0, 1)
    return match_boundaries(feat_bct, weight_ocn, model.sparse_table()).unflatten(1, (channels, num))


def _tem(gt: Any, **arguments: Any) -> Any:
    return _labels(LOCALIZERS.of('action').build({'type': 'TEM', **arguments}), gt)


def _labels(model: Any, gt: Any) -> list[torch.Tensor]:
    segments = [torch.as_tensor(np.asarray(each)) for each in gt]
    return list(model.labels_of(pad_segments(segments, torch.zeros(1))))


def _rows(result: LocalizationResult) -> list[list[float]]:
    return [[score, *segment] for score, segment in zip(result.scores, result.segments.tolist(), strict=True)]


# ---------------------------------------------------------------------- proposals


def _candidates(tem: Any, segments: Any, temporal_scale: int, peak_threshold: float) -> Any:
    seconds = 960 / 1000 * 40.0
    return {
        name: with_truth(
            candidate_proposals(np.asarray(tem[name]).astype(np.float32), peak_threshold),
            np.asarray(segments[i]) / seconds,
        )
        for i, name in enumerate(tem)
    }


def _features(props: Any, tem: Any, segments: Any, **sampling: Any) -> Any:
    as_read = {name: np.asarray(value).astype(np.float32) for name, value in tem.items()}
    return {
        name: bsp_features(as_read[name], np.asarray(props[name]).astype(np.float32), Sampling(**sampling))
        for name in tem
    }


def _soft_nms(proposals: Any, **options: Any) -> np.ndarray:
    rows, scores = soft_nms(proposals, **options)
    return np.column_stack([proposals[rows, :2], scores])


def _pairwise(candidate_segments: Any, target_segments: Any, calculate_overlap_self: bool = False) -> Any:
    one = np.ndim(candidate_segments) == 1
    candidates = np.atleast_2d(candidate_segments)
    found = [pairwise_temporal_iou(candidates, target_segments)]
    if calculate_overlap_self:
        ends = target_segments[:, None]
        found.append(temporal_iop(candidates[:, 0], candidates[:, 1], ends[..., 0], ends[..., 1]))
    found = [each[:, 0] if one else each for each in found]
    return found if calculate_overlap_self else found[0]


# ---------------------------------------------------------------------- metrics


def _anet(gt: Any, pred: Any, tiou: tuple[float, float, int]) -> Any:
    """Truth and predictions of files; the names of predicted streams lack ``v_``."""
    labels: dict[str, int] = {}
    streams = {}
    for name, info in gt.items():
        rows = info['annotations']
        indices = [labels.setdefault(row['label'], len(labels)) for row in rows]
        segments = np.array([row['segment'] for row in rows]).reshape(-1, 2)
        truth = {'video': name, 'segments': segments, 'labels': np.array(indices, int), 'duration': 1.0}
        streams[name] = Stream(_found(pred.get(name[2:], []), labels), truth)
    nothing = {'segments': np.zeros((0, 2)), 'labels': np.zeros(0, int), 'duration': 1.0}
    for name, rows in pred.items():
        key = f'v_{name}'
        streams.setdefault(key, Stream(_found(rows, labels), {'video': key, **nothing}))
    metric = SegmentAP(temporal_iou_thresholds=np.linspace(*tiou))
    table = metric.by_class(streams)
    return {'mAP': table.mean(1), 'average': metric.values(streams)['mAP'], 'ap': table}


def _found(rows: Any, labels: Mapping[str, int]) -> LocalizationResult:
    segments = np.array([row['segment'] for row in rows]).reshape(-1, 2)
    scores = np.array([row['score'] for row in rows])
    return LocalizationResult(segments, scores, np.array([labels[row['label']] for row in rows], int), 1.0)


def _average_precision(ground_truth: Any, prediction: Any, thresholds: Any = ACTIVITYNET) -> np.ndarray:
    videos = [str(row[0]) for row in prediction]
    found = np.array([[float(value) for value in row[2:5]] for row in prediction]).reshape(-1, 3)
    true = {name: np.asarray(rows, float) for name, rows in ground_truth.items()}
    return average_precision(true, videos, found, np.asarray(thresholds))


def _average_recall(
    ground_truth: Any, proposals: Any, total_num_proposals: int, max_avg_proposals: float | None = None
) -> Any:
    true = {name: np.asarray(rows)[:, :2].astype(float) for name, rows in ground_truth.items()}
    return list(average_recall(true, proposals, ACTIVITYNET, max_avg_proposals, total_num_proposals))


def _eval_ap(detections: Any, gt_by_cls: Any) -> np.ndarray:
    thresholds = np.arange(0.1, 1.0, 0.1)
    return np.stack([_average_precision(gt_by_cls[label], rows, thresholds) for label, rows in detections.items()])


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    'ActivityNetLocalization': _anet,
    'BMN': _bmn,
    'TEM': _tem,
    'average_precision_at_temporal_iou': _average_precision,
    'average_recall_at_avg_proposals': _average_recall,
    'eval_ap': _eval_ap,
    'generate_bsp_feature': _features,
    'generate_candidate_proposals': _candidates,
    'interpolated_precision_recall': interpolated_precision_recall,
    'pairwise_temporal_iou': _pairwise,
    'soft_nms': _soft_nms,
    'temporal_iop': temporal_iop,
    'temporal_iou': temporal_iou,
    'temporal_nms': temporal_nms,
}

OURS: Mapping[str, Callable[..., Any]] = {
    f'mmaction.{module}.{name}': function
    for module in (
        'core.evaluation', 'evaluation.functional', 'localization', 'localization.ssn_utils', 'models.localizers',
        'models.localizers.utils',
    )
    for name, function in FUNCTIONS.items()
}  # fmt: skip
"""Old function or class -> how ours computes the same; where it stood differs between releases."""
