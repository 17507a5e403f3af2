"""Runs recorded metrics, labels and proposals of temporal localization through ours."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from intarsia.core.registries import LOCALIZERS
from intarsia.tasks.action.datasets.proposal_list import bounded, kinds_of, regression_targets, stage_scales
from intarsia.tasks.action.datasets.ssn import SSNDataset
from intarsia.tasks.action.heads.temporal_pyramid import TemporalPyramid, mean_of_ranges
from intarsia.tasks.action.localization_result import LocalizationResult
from intarsia.tasks.action.localizers.boundary_matching import match_boundaries
from intarsia.tasks.action.localizers.localizer import pad_segments
from intarsia.tasks.action.localizers.proposals import (
    PostProcess,
    Sampling,
    bsp_features,
    candidate_proposals,
    with_truth,
)
from intarsia.tasks.action.localizers.ssn import move_boundaries
from intarsia.tasks.action.localizers.suppression import soft_nms, temporal_nms
from intarsia.tasks.action.metrics.segment_matching import (
    average_precision,
    average_recall,
    interpolated_precision_recall,
)
from intarsia.tasks.action.metrics.segments import ACTIVITYNET, SegmentAP, Stream
from intarsia.tasks.action.temporal_overlap import pairwise_temporal_iou, temporal_iop, temporal_iou

DELIBERATE = {
    r'mmaction2.*/SSNDataset/evaluate': 'classes without true segments do not count; they had NaN, and so had the mean',
    r'mmaction2.*/SSNDataset/no-filter': 'filter_gt=False works in testing too',
    r'mmaction2.*/soft_nms/top5': 'top_k segments are kept, not one more',
    r'mmaction2.*/pairwise_temporal_iou/zero-length': 'two empty segments have the IoU 0, not NaN',
}
"""As in the module of all metrics."""

PROPOSAL_LIST = """# 0
video_a
100
1
2
3 10 40
5 60 90
3
3 0.9 0.8 12 41
3 0.5 0.5 5 60
0 0 0 50 58
# 1
video_b
80
2.5
1
1 5 20
1
1 0.7 0.7 6 25
"""
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


def _post_processing(result: np.ndarray, video_info: Mapping[str, Any], **settings: Any) -> list[list[float]]:
    post_process = PostProcess(**settings)
    _, segments, scores = post_process(result)
    seconds = post_process.seconds(video_info)
    return [[score, *(segment * seconds).tolist()] for score, segment in zip(scores, segments, strict=True)]


def _pairwise(candidate_segments: Any, target_segments: Any, calculate_overlap_self: bool = False) -> Any:
    one = np.ndim(candidate_segments) == 1
    candidates = np.atleast_2d(candidate_segments)
    found = [pairwise_temporal_iou(candidates, target_segments)]
    if calculate_overlap_self:
        ends = target_segments[:, None]
        found.append(temporal_iop(candidates[:, 0], candidates[:, 1], ends[..., 0], ends[..., 1]))
    found = [each[:, 0] if one else each for each in found]
    return found if calculate_overlap_self else found[0]


def _pool_positions(x: Any, ticks: Any, scale: Any, num_classes: int, stpp_stage: Any, use_regression: bool) -> Any:
    pyramid = TemporalPyramid((1, (1, 2), 1))
    sizes = np.array([num_classes + 1, *(pyramid.num_parts * k for k in (num_classes, 2 * num_classes))])
    x = torch.as_tensor(x if x.shape[1] >= sizes.sum() else np.tile(x, (1, 5))[:, : sizes.sum()])[:, : sizes.sum()]
    activity, *parts = x.float().split(sizes.tolist(), dim=1)
    low = ticks[:, 1]
    course = np.stack([low, np.maximum(low + 1, ticks[:, 2])], 1)[:, None]
    found = [mean_of_ranges(activity[:, None], course)[:, 0]]
    for part in parts:
        found.append(pyramid.pool_positions(part.unflatten(1, (pyramid.num_parts, -1)), ticks, scale))
    return found


def _pool_segments(x: Any, scale: Any) -> Any:
    pyramid = TemporalPyramid((1, 1, 1))
    return pyramid.pool_segments(torch.as_tensor(x).float(), torch.as_tensor(scale).float())


def _perform_regression(detections: np.ndarray) -> np.ndarray:
    return np.column_stack([move_boundaries(detections[:, :2], detections[:, 3:5]), detections[:, 2:]])


def _proposal_data(test_mode: bool = False, act: Any = None, comp: Any = None, reg: Any = None) -> Any:
    """Pools of proposals, or what testing knows of them, of the two videos of the records."""
    thresholds = {'positive_iou': 0.7, 'background_iou': 0.01, 'incomplete_iou': 0.3, 'background_coverage': 0.02,
                  'incomplete_overlap': 0.01}  # fmt: skip
    sampler = {'num_per_video': 8, 'positive_ratio': 1, 'background_ratio': 1, 'incomplete_ratio': 6}
    training = {'assigner': {f'{name}_threshold': each for name, each in thresholds.items()}, 'sampler': sampler}
    testing = {'ssn': {'sampler': {'test_interval': 6}}}
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:
        file.write(PROPOSAL_LIST)
        file.flush()
        data: Any = SSNDataset(file.name, [], {'ssn': training}, testing, 'frames', test_mode=test_mode)
    if test_mode:
        keys = ('relative_proposal_list', 'scale_factor_list', 'proposal_tick_list', 'reg_norm_consts')
        return [[data.draw(i, np.random.default_rng(0))[key] for key in keys] for i in range(len(data))]
    return _pools(data)


def _pools(data: Any) -> Any:
    positive, negative, stage, gts = [], [], [], {}
    for row in data.annotations:
        right, *others = kinds_of(row, data.assigner)
        total, true_g2 = row['total_frames'], bounded(row['gts'], row['total_frames'])
        for rows in (row['proposals'][right], row['gts']):
            positive += [
                [*_facts(each, total), *regression_targets(bounded(each[None], total), true_g2)[0]] for each in rows
            ]
        for indices in others:
            negative.append([[*_facts(each, total), 0.0, 0.0] for each in row['proposals'][indices]])
        scales = stage_scales(bounded(row['proposals'], total), total, 1, (0.5, 0.5))
        stage += [[*scale, [2, 7, 9]] for scale in scales.tolist()]
        for label, segment in zip(row['gts'][:, 0].astype(int) - 1, true_g2 / total, strict=True):
            gts.setdefault(int(label), {}).setdefault(row['video_id'], []).append(segment)
    return {'positive': positive, 'negative': negative, 'stats': data.constants, 'stage': stage, 'gts': gts}


def _facts(row_5: np.ndarray, total: int) -> list[float]:
    """First frame, end, label, IoU, overlap and coverage of a proposal."""
    label, iou, overlap, start, end = row_5.tolist()
    return [start, min(end, total), label, iou, overlap, (end - start) / total]


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
    'SSNDataset': _proposal_data,
    'STPPTest': _pool_positions,
    'STPPTrain': _pool_segments,
    'perform_regression': _perform_regression,
    'post_processing': _post_processing,
    'soft_nms': _soft_nms,
    'temporal_iop': temporal_iop,
    'temporal_iou': temporal_iou,
    'temporal_nms': temporal_nms,
}

OURS: Mapping[str, Callable[..., Any]] = {
    f'mmaction.{module}.{name}': function
    for module in (
        'core.evaluation', 'datasets', 'models.heads.ssn_head', 'evaluation.functional', 'localization', 'localization.ssn_utils', 'models.localizers',
        'models.localizers.utils',
    )
    for name, function in FUNCTIONS.items()
}  # fmt: skip
"""Old function or class -> how ours computes the same; where it stood differs between releases."""
