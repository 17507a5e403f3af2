"""How ours computes what the recorded metrics of poses computed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intarsia.core.registries import DATASETS, METRICS
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.datasets.coco_file import CocoFile
from intarsia.tasks.pose.metrics.average_precision import match, oks_matrix, summarize, summarize_crowd
from intarsia.tasks.pose.metrics.coco_metric import CocoMetric, Person
from intarsia.tasks.pose.metrics.coco_people import WHOLE_BODY
from intarsia.tasks.pose.metrics.distances import keypoint_auc, keypoint_epe, keypoint_nme, keypoint_pck_accuracy
from intarsia.tasks.pose.metrics.nms import nearby_joints_nms, nms, nms_groups
from intarsia.tasks.pose.metrics.oks import oks_iou, oks_nms, soft_oks_nms
from intarsia.tasks.pose.metrics.training_accuracy import (
    multilabel_classification_accuracy,
    pose_pck_accuracy,
    simcc_pck_accuracy,
)
from intarsia.tasks.pose.results import PoseResult

DELIBERATE = {
    r'mmpose-1.*/MpiiPCKAccuracy/(border|absent-joint|invisible|onejoint)': 'at the limit is right; what nobody has is NaN',
    r'mmpose-0.*/TopDownMpiiDataset.evaluate/absent-joint': 'what nobody has is left out of the mean, as in 1.x',
    r'.*COCOeval/max': 'another number of people that count has its values, not -1',
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
    (x, y), (true_x, true_y) = ([torch.tensor(axis) for axis in both] for both in (output, target))
    found = simcc_pck_accuracy((x, y), (true_x, true_y), simcc_split_ratio, torch.tensor(mask), thr)
    return [value.numpy() for value in found]


def _oks(g: Any, d: Any, a_g: Any, a_d: Any, sigmas: Any = None, vis_thr: Any = None) -> Any:
    return oks_iou(np.reshape(g, (-1, 3)), np.reshape(d, (len(d), -1, 3)), a_g, a_d, sigmas, vis_thr)


def _nms(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def run(kpts_db: Sequence[Mapping[str, Any]], thr: float, score_per_joint: bool = False, **options: Any) -> Any:
        if not kpts_db:
            return []
        people = np.array([person['keypoints'] for person in kpts_db])
        scores = np.array([np.mean(person['score']) if score_per_joint else person['score'] for person in kpts_db])
        return function(people, scores, np.array([person['area'] for person in kpts_db]), thr, **options)

    return run


def _box_nms(dets: Any, thr: float) -> Any:
    return nms(dets, thr)


def _nms_torch(bboxes: Any, scores: Any, threshold: float, return_group: bool = False) -> Any:
    groups = nms_groups(torch.tensor(bboxes), torch.tensor(scores), threshold)
    return groups if return_group else torch.cat([group[:1] for group in groups])


def _nearby(kpts_db: Sequence[Mapping[str, Any]], **options: Any) -> np.ndarray:
    people = np.array([person['keypoints'] for person in kpts_db])
    return nearby_joints_nms(people, np.array([person['score'] for person in kpts_db]), **options)


def _multilabel(pred: Any, gt: Any, mask: Any, thr: float = 0.5) -> Any:
    return multilabel_classification_accuracy(torch.tensor(pred), torch.tensor(gt), torch.tensor(mask), thr)


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


def _report_metric(
    pred: Any, truth: Any, mask: Any, box: Any, head: float, metrics: Any, pair: Sequence[int], thr: Mapping[str, float]
) -> dict[str, float]:
    nodes: Sequence[dict[str, Any]] = (
        dict(type='PCKAccuracy', thr=thr['pck_thr']),
        dict(type='PCKAccuracy', thr=thr['pckh_thr'], norm_item='head'),
        dict(type='AUC', norm_factor=thr['auc_nor']), dict(type='EPE'), dict(type='NME', keypoint_indices=pair),
    )  # fmt: skip
    rows = [dict(keypoints=truth[i], visible=mask[i], bbox=box[i], head_size=head) for i in range(len(truth))]
    return _counted(nodes, pred, rows)


def _mpii(gt: Any, pred: Any, truth: Any, missing: Any, head: Any, dataset: str) -> dict[str, float]:
    size = 0.6 * np.linalg.norm(head[1] - head[0], axis=0)
    # counted from 1
    rows = [dict(keypoints=truth[i] - 1, visible=1 - missing[:, i], head_size=size[i]) for i in range(len(truth))]
    return _counted([dict(type='MpiiPCKAccuracy')], pred, rows)


def _counted(nodes: Sequence[dict[str, Any]], pred: Any, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    built = [METRICS.of('pose').build(node) for node in nodes]
    for i, row in enumerate(rows):
        result = PoseResult(pred[i : i + 1], np.ones((1, len(pred[i]))), np.ones((1, 4)), np.ones(1))
        for metric in built:
            metric.update(result, {**row, 'bbox_id': i})
    return {name: value for metric in built for name, value in metric.compute().items()}


# ---------------------------------------------------------------------- average precision


def _coco_eval(
    gt: Any, dets: Any, sigmas: Any, iou_type: str = 'keypoints', use_area: bool = True, max_dets: Any = None
) -> Any:
    """What COCOeval gives: its numbers, and OKS of every image and category."""
    is_crowd = iou_type == 'keypoints_crowd'
    if iou_type in PARTS:
        gt, dets = _part_of(gt, dets, iou_type)
    with tempfile.TemporaryDirectory() as folder:
        metric = _metric(gt, folder, sigmas=sigmas, use_area=use_area, **({'iou_type': iou_type} if is_crowd else {}))
        coco = CocoFile.read(metric.ann_file)
        images: dict[Any, list[Person]] = {}
        for det in dets:
            joints = np.array(det['keypoints'], np.float64).reshape(-1, 3)
            area = det['bbox'][2] * det['bbox'][3]
            images.setdefault(det['image_id'], []).append(Person(joints, det['score'], area, det['category_id']))
        matches: dict[Any, list[Any]] = {}
        crowding: dict[Any, list[float]] = {}
        tables = {}
        for image, category, people, truth in metric.pairs(images, coco):
            areas = np.array([person.area for person in people])  # as files of results with boxes are read
            found = metric.found_of(people)._replace(areas=areas)
            oks = oks_matrix(found.keypoints, truth, metric.sigmas)
            crowded = coco.images[image].get('crowdIndex', 1.0)
            if oks.size and crowded >= (0.8 if is_crowd else 0):  # of crowds those of the last part are left
                tables[f'{image}.{category}'] = oks
            matches.setdefault(category, []).append(match(found, truth, oks))
            crowding.setdefault(category, []).append(crowded)
    categories = list(matches.values())
    values = summarize_crowd(categories, list(crowding.values())) if is_crowd else summarize(categories)
    return {'stats': np.array(list(values.values())), 'oks': tables}


PARTS = {
    'keypoints_body': (0, 17), 'keypoints_foot': (17, 23), 'keypoints_face': (23, 91), 'keypoints_lefthand': (91, 112),
    'keypoints_righthand': (112, 133), 'keypoints_wholebody': (0, 133),
}  # fmt: skip


def _part_of(gt: Any, dets: Any, iou_type: str) -> Any:
    """A file and detections of a part of whole bodies, whose score is that of the part, as if there were no others."""
    start, end = PARTS[iou_type]
    rows = []
    for row in (*gt['annotations'], *dets):
        joints = row['keypoints'][3 * start : 3 * end]
        has_own = 'score' in row and start > 0
        rows.append({**row, 'keypoints': joints, **({'score': float(np.mean(joints[2::3]))} if has_own else {})})
        rows[-1].pop('num_keypoints', None)
    count = len(gt['annotations'])
    return {**gt, 'annotations': rows[:count]}, rows[count:]


def _metric(gt: Any, folder: str, **arguments: Any) -> CocoMetric:
    return CocoMetric(ann_file=_file(gt, folder), **arguments)


def _file(gt: Any, folder: str) -> str:
    file = Path(folder) / 'gt.json'
    file.write_text(json.dumps(gt))
    return str(file)


def _coco_metric(gt: Any, dets: Any, sigmas: Any, metric: Mapping[str, Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        built = _metric(gt, folder, sigmas=sigmas, prefix='coco', **metric)
        _count(built, dets)
        return built.compute()


def _whole_body(gt: Any, dets: Any, sigmas: Any, metric: Mapping[str, Any]) -> Any:
    rows = []
    for row in gt['annotations']:
        lists, start = {}, 0
        for name, count in WHOLE_BODY.items():
            lists[name] = row['keypoints'][3 * start : 3 * (start + count)]
            start += count
        rows.append({**row, **lists})
    with tempfile.TemporaryDirectory() as folder:
        file = _file({**gt, 'annotations': rows}, folder)
        node = dict(type='CocoWholeBodyMetric', ann_file=file, sigmas=sigmas, prefix='coco-wholebody', **metric)
        built = METRICS.of('pose').build(node)
        _count(built, dets)
        return built.compute()


def _topdown_evaluate(gt: Any, dets: Any, dataset: str, oks_thr: float, rle_score: bool, soft_nms: bool) -> Any:
    kind = DATASETS.of('pose').get({'coco': 'TopDownCocoDataset', 'crowdpose': 'TopDownCrowdPoseDataset'}[dataset])
    told = {k: v for k, v in kind.METRIC_ARGUMENTS.items() if k in ('use_area', 'iou_type')}
    settings = dict(soft_nms=soft_nms, rle_score=rle_score, oks_thr=oks_thr, **told)
    with tempfile.TemporaryDirectory() as folder:
        built = _metric(gt, folder, sigmas=DatasetInfo.of(dataset).sigmas, **settings)
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
        ('nms.nms', _box_nms), ('nms.nms_torch', _nms_torch), ('nms.nearby_joints_nms', _nearby),
        ('multilabel_classification_accuracy', _multilabel),
    )},
    'mmpose.core.evaluation.multilabel_classification_accuracy': _multilabel,
    'mmpose.core.evaluation.top_down_eval.keypoint_nme': _nme,
    'mmpose.core.post_processing.nearby_joints_nms': _nearby,
    'mmpose.core.post_processing.nms.nms': _box_nms,
    'mmpose.core.post_processing.nms.oks_iou': _oks,
    'mmpose.core.post_processing.oks_nms': _nms(oks_nms),
    'mmpose.core.post_processing.soft_oks_nms': _nms(soft_oks_nms),
    **{f'mmpose.evaluation.metrics.{name}': _node(name)
       for name in ('PCKAccuracy', 'MpiiPCKAccuracy', 'JhmdbPCKAccuracy', 'AUC', 'EPE', 'NME')},
    'mmpose.evaluation.metrics.CocoMetric': _coco_metric,
    'mmpose.evaluation.metrics.CocoWholeBodyMetric': _whole_body,
    'mmpose.datasets.datasets.base.Kpt2dSviewRgbImgTopDownDataset': _report_metric,
    'mmpose.datasets.TopDownMpiiDataset': _mpii,
    'mmpose.datasets.TopDownCocoDataset': _topdown_evaluate,
    'mmpose.datasets.TopDownCrowdPoseDataset': _topdown_evaluate,
    'pycocotools.cocoeval.COCOeval': _coco_eval,
    'xtcocotools.cocoeval.COCOeval': _coco_eval,
}  # fmt: skip
"""As in the module of all metrics."""
