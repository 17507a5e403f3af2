"""How ours computes what the recorded metrics of poses computed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intarsia.core.registries import METRICS
from intarsia.tasks.pose.metrics.average_precision import AREAS, match, oks_matrix, summarize
from intarsia.tasks.pose.metrics.coco_metric import CocoMetric, Person, found_of
from intarsia.tasks.pose.metrics.distances import keypoint_auc, keypoint_epe, keypoint_nme, keypoint_pck_accuracy
from intarsia.tasks.pose.metrics.oks import oks_iou, oks_nms, soft_oks_nms
from intarsia.tasks.pose.metrics.training_accuracy import pose_pck_accuracy, simcc_pck_accuracy
from intarsia.tasks.pose.results import PoseResult

DELIBERATE = {
    r'mmpose-1.*/MpiiPCKAccuracy/(border|absent-joint|invisible|onejoint)': 'at the limit is right; what nobody has is NaN',
    r'xtcocotools.*num-keypoints-zero': 'the number of joints is that of the annotation, as in pycocotools',
    r'xtcocotools.*zero-keypoints': 'a detection of zeros is a false positive, as in pycocotools',
}
"""As in the module of all metrics."""

PADDING = 1.25


def _pck(pred: Any, gt: Any, mask: Any, thr: float, normalize: Any = None, norm_factor: Any = None) -> Any:
    return keypoint_pck_accuracy(pred, gt, mask, thr, normalize if norm_factor is None else norm_factor)


def _auc(pred: Any, gt: Any, mask: Any, normalize: Any = None, norm_factor: Any = None, **steps: int) -> float:
    unit = normalize if norm_factor is None else norm_factor
    num_step = steps.get('num_step', steps.get('num_thrs', 20))
    return keypoint_auc(pred, gt, mask, unit, num_step)


def _nme(pred: Any, gt: Any, mask: Any, normalize_factor: Any) -> float:
    return keypoint_nme(pred, gt, mask, normalize_factor)


def _epe(pred: Any, gt: Any, mask: Any) -> float:
    return keypoint_epe(pred, gt, mask)


def _pose_pck(output: Any, target: Any, mask: Any, thr: float = 0.05, normalize: Any = None) -> Any:
    if normalize is not None:
        raise NotImplementedError('a unit of each sample')
    found = pose_pck_accuracy(torch.tensor(output), torch.tensor(target), torch.tensor(mask), thr)
    return [value.numpy() for value in found]


def _simcc_pck(output: Any, target: Any, simcc_split_ratio: float, mask: Any, thr: float = 0.05) -> Any:
    pairs = [tuple(torch.tensor(axis) for axis in both) for both in (output, target)]
    return [v.numpy() for v in simcc_pck_accuracy(*pairs, simcc_split_ratio, torch.tensor(mask), thr)]


def _oks(g: Any, d: Any, a_g: Any, a_d: Any, sigmas: Any = None, vis_thr: Any = None) -> Any:
    return oks_iou(np.reshape(g, (-1, 3)), np.reshape(d, (len(d), -1, 3)), a_g, a_d, sigmas, vis_thr)


def _nms(nms: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def run(kpts_db: Sequence[Mapping[str, Any]], thr: float, score_per_joint: bool = False, **options: Any) -> Any:
        if not kpts_db:
            return []
        people = np.array([person['keypoints'] for person in kpts_db])
        scores = np.array([np.mean(person['score']) if score_per_joint else person['score'] for person in kpts_db])
        return nms(people, scores, np.array([person['area'] for person in kpts_db]), thr, **options)

    return run


# ---------------------------------------------------------------------- metrics of one person


def _node(name: str) -> Callable[..., Any]:
    """A metric of the newer generation."""

    def evaluate(
        pred: Any, truth: Any, mask: Any, box: Any, head: Any, size: Any, metric: Any = None, meta: Any = None
    ) -> Any:
        node = {'type': name, **(metric or {})}
        if name in ('MpiiPCKAccuracy', 'JhmdbPCKAccuracy'):
            node['names'] = '1.x'
        if name == 'MpiiPCKAccuracy':
            truth = truth - 1  # counted from 1
        if name == 'NME' and meta and node.get('norm_mode') == 'keypoint_distance':
            node.setdefault('keypoint_indices', NORMS.get(meta['dataset_name']))
        built = METRICS.of('pose').build(node)
        for i in range(len(truth)):
            xywh = np.array([*box[i][:2], *(box[i][2:] - box[i][:2])])
            result = PoseResult(pred[i : i + 1], np.ones((1, len(pred[i]))), xywh[None], np.ones(1))
            known = dict(bbox_id=i, keypoints=truth[i], visible=mask[i], bbox=xywh, head_size=head[i])
            known['bbox_size'] = max(xywh[2:])  # as the newer generation computed it
            built.update(result, known)
        return built.compute()

    return evaluate


NORMS = {
    '300w': (36, 45), 'coco_wholebody_face': (36, 45), 'cofw': (8, 9), 'wflw': (60, 72), 'horse10': (0, 1),
    'lapa': (66, 79),
}  # fmt: skip
"""Joints that the newer generation knew the units of NME by."""


# ---------------------------------------------------------------------- average precision


def _coco_eval(
    gt: Any, dets: Any, sigmas: Any, iou_type: str = 'keypoints', use_area: bool = True, max_dets: Any = (20,)
) -> Any:
    """What COCOeval gives: ten numbers, and OKS of every image and category."""
    if iou_type != 'keypoints' or list(max_dets) != [20]:
        raise NotImplementedError(f'{iou_type}, max_dets={max_dets}')
    with tempfile.TemporaryDirectory() as folder:
        metric = _metric(gt, folder, sigmas=sigmas, use_area=use_area)
        images: dict[Any, list[Person]] = {}
        for det in dets:
            joints = np.array(det['keypoints'], np.float64).reshape(-1, 3)
            area = det['bbox'][2] * det['bbox'][3]
            images.setdefault(det['image_id'], []).append(Person(joints, det['score'], area, det['category_id']))
        matches: dict[str, dict[Any, list[Any]]] = {name: {} for name in AREAS}
        tables = {}
        for image, category, people, truth in metric.pairs(images):
            areas = np.array([person.area for person in people])  # as files of results with boxes are read
            found = found_of(people, len(metric.sigmas))._replace(areas=areas)
            oks = oks_matrix(found.keypoints, truth, metric.sigmas)
            if oks.size:
                tables[f'{image}.{category}'] = oks
            for name, area in AREAS.items():
                matches[name].setdefault(category, []).append(match(found, truth, oks, area))
    values = summarize({name: list(categories.values()) for name, categories in matches.items()})
    return {'stats': np.array(list(values.values())), 'oks': tables}


def _metric(gt: Any, folder: str, **arguments: Any) -> CocoMetric:
    file = Path(folder) / 'gt.json'
    file.write_text(json.dumps(gt))
    return CocoMetric(ann_file=str(file), **arguments)


def _coco_metric(gt: Any, dets: Any, sigmas: Any, metric: Mapping[str, Any]) -> Any:
    names = {'nms_thr': 'oks_thr', 'keypoint_score_thr': 'vis_thr'}
    arguments = {names.get(key, key): value for key, value in metric.items()}
    if arguments.get('score_mode') in ('bbox_rle', 'keypoint'):
        raise NotImplementedError(str(metric))
    with tempfile.TemporaryDirectory() as folder:
        built = _metric(gt, folder, sigmas=sigmas, **arguments)
        _count(built, dets)
        return {f'coco/{name}': value for name, value in built.compute().items()}


def _topdown_evaluate(gt: Any, dets: Any, dataset: str, oks_thr: float, rle_score: bool, soft_nms: bool) -> Any:
    from intarsia.core.registries import DATASETS

    if rle_score:
        raise NotImplementedError('rle_score')
    kind = DATASETS.of('pose').get({'coco': 'TopDownCocoDataset', 'crowdpose': 'TopDownCrowdPoseDataset'}[dataset])
    with tempfile.TemporaryDirectory() as folder:
        from intarsia.tasks.pose.dataset_info import DatasetInfo

        told = {k: v for k, v in kind.METRIC_ARGUMENTS.items() if k in ('use_area', 'iou_type')}
        info = DatasetInfo.of(dataset)
        built = _metric(gt, folder, sigmas=info.sigmas, soft_nms=soft_nms, oks_thr=oks_thr, **told)
        _count(built, dets)
        return built.compute()


def _count(metric: CocoMetric, dets: Sequence[Mapping[str, Any]]) -> None:
    for i, det in enumerate(dets):
        joints = np.array(det['keypoints'], np.float64).reshape(1, -1, 3)
        box = np.array([det['bbox']], np.float64)
        area = box[:, 2:].prod(1) * PADDING**2
        result = PoseResult(joints[..., :2], joints[..., 2], box, np.array([det['score']]), area)
        metric.update(result, dict(image_id=det['image_id'], bbox_id=i, category_id=det.get('category_id', 1)))


OURS: dict[str, Callable[..., Any]] = {
    **{f'mmpose.core.evaluation.{name}': function for name, function in (
        ('keypoint_pck_accuracy', _pck), ('keypoint_auc', _auc), ('keypoint_nme', _nme), ('keypoint_epe', _epe),
        ('pose_pck_accuracy', _pose_pck),
    )},
    **{f'mmpose.evaluation.functional.{name}': function for name, function in (
        ('keypoint_pck_accuracy', _pck), ('keypoint_auc', _auc), ('keypoint_nme', _nme), ('keypoint_epe', _epe),
        ('pose_pck_accuracy', _pose_pck), ('simcc_pck_accuracy', _simcc_pck), ('nms.oks_iou', _oks),
        ('nms.oks_nms', _nms(oks_nms)), ('nms.soft_oks_nms', _nms(soft_oks_nms)),
    )},
    'mmpose.core.post_processing.oks_iou': _oks,
    'mmpose.core.post_processing.oks_nms': _nms(oks_nms),
    'mmpose.core.post_processing.soft_oks_nms': _nms(soft_oks_nms),
    **{f'mmpose.evaluation.metrics.{name}': _node(name)
       for name in ('PCKAccuracy', 'MpiiPCKAccuracy', 'JhmdbPCKAccuracy', 'AUC', 'EPE', 'NME')},
    'mmpose.evaluation.metrics.CocoMetric': _coco_metric,
    'mmpose.datasets.TopDownCocoDataset': _topdown_evaluate,
    'mmpose.datasets.TopDownCrowdPoseDataset': _topdown_evaluate,
    'pycocotools.cocoeval.COCOeval': _coco_eval,
    'xtcocotools.cocoeval.COCOeval': _coco_eval,
}  # fmt: skip
"""As in the module of all metrics."""
