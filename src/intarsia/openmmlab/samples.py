"""Batches of ours as data samples of the newer toolboxes, and answers of old models as results of ours.

Shapes: n samples, c classes, k joints, h rows, w columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia.openmmlab.structures import (
    ActionDataSample,
    BaseDataElement,
    DataSample,
    InstanceData,
    PixelData,
    PoseDataSample,
    SegDataSample,
)
from intarsia.openmmlab.words import PIXEL_STD
from intarsia.tasks.action.results import ActionResult
from intarsia.tasks.classification.results import ClassificationResult
from intarsia.tasks.pose.results import PoseResult
from intarsia.tasks.segmentation.results import SegmentationResult


class Samples(ABC):
    """What the data samples of a task hold, and under which of our names."""

    kind: type[BaseDataElement]

    def of_batch(self, data: Mapping[str, Any]) -> list[Any]:
        """One data sample for each sample of a batch, with its targets and what the pipeline noted."""
        metas = data.get('img_metas')
        count = len(metas) if metas is not None else len(next(v for v in data.values() if isinstance(v, Tensor)))
        samples = []
        for i in range(count):
            sample = self.kind(metainfo=dict(metas[i]) if metas is not None else {})
            self.fill(sample, data, i)
            samples.append(sample)
        return samples

    @abstractmethod
    def fill(self, sample: Any, data: Mapping[str, Any], i: int) -> None:
        """Give a sample the targets of number ``i`` of a batch, if it has any."""

    @abstractmethod
    def targets(self, samples: Sequence[Any]) -> dict[str, Tensor]:
        """Targets of a batch under our names, from its samples."""

    @abstractmethod
    def result_of(self, sample: Any, model: Any) -> Any:
        """The result that a sample with predictions stands for; what is a result already stays."""

    @abstractmethod
    def result_of_answer(self, answer: Any, model: Any) -> Any:
        """The result of one answer of ``simple_test``."""

    def split(self, answers: Any) -> Iterable[Any]:
        """Answers for a batch one by one."""
        return answers

    @abstractmethod
    def add_result(self, sample: Any, result: Any) -> None:
        """Give a sample the predictions of a result of ours."""

    @abstractmethod
    def add_truth(self, sample: Any, dataset: Any, index: int | None) -> None:
        """Give a sample the truth of its data set, where the batch has none."""

    @abstractmethod
    def answer_of(self, result: Any, meta: Mapping[str, Any]) -> Any:
        """A result of ours as ``simple_test`` gives it."""


class ClassSamples(Samples):
    """Images with a label, or with a score for every class."""

    kind: type[BaseDataElement] = DataSample
    key, score_key = 'gt_label', 'pred_score'
    result_class: type[Any] = ClassificationResult

    def fill(self, sample: Any, data: Mapping[str, Any], i: int) -> None:
        """Set ``gt_label`` or ``gt_score``."""
        if self.key in data:
            target = data[self.key][i]
            (sample.set_gt_score if target.is_floating_point() else sample.set_gt_label)(target)

    def targets(self, samples: Sequence[Any]) -> dict[str, Tensor]:
        """Labels ``(N,)``, or scores ``(N, C)``."""
        if 'gt_score' in samples[0]:
            return {self.key: torch.stack([sample.gt_score for sample in samples])}
        return {self.key: torch.cat([sample.gt_label for sample in samples])}

    def result_of(self, sample: Any, model: Any) -> Any:
        """From ``pred_score``, or else ``pred_label``."""
        if not isinstance(sample, BaseDataElement):
            return self.result_of_answer(sample, model) if isinstance(sample, (np.ndarray, Tensor, Mapping)) else sample
        if self.score_key in sample:
            return self.result_of_answer(sample.get(self.score_key), model)
        label = int(sample.get('pred_label')[0])
        scores = np.zeros(max(len(model.classes or ()), label + 1), np.float32)
        scores[label] = 1.0
        return self.result_class.of(scores, classes=model.classes)

    def result_of_answer(self, answer: Any, model: Any) -> Any:
        """From the scores of all classes ``(C,)``."""
        scores = answer['pred_scores'] if isinstance(answer, Mapping) else answer
        array = scores.detach().float().cpu().numpy() if isinstance(scores, Tensor) else np.asarray(scores, np.float32)
        return self.result_class.of(array.reshape(-1), classes=model.classes)

    def add_result(self, sample: Any, result: Any) -> None:
        """Set ``pred_score`` and ``pred_label``."""
        sample.set_pred_score(torch.as_tensor(result.scores)).set_pred_label(torch.tensor([result.label]))

    def add_truth(self, sample: Any, dataset: Any, index: int | None) -> None:
        """Set ``gt_label`` from ``get_gt_labels()``."""
        if index is not None and 'gt_label' not in sample and hasattr(dataset, 'get_gt_labels'):
            label = np.atleast_1d(dataset.get_gt_labels()[index])
            sample.set_gt_label(torch.as_tensor(np.flatnonzero(label) if label.size > 1 else label))

    def answer_of(self, result: Any, meta: Mapping[str, Any]) -> np.ndarray:
        """Scores ``(C,)``."""
        return result.scores


class ActionSamples(ClassSamples):
    """Clips with a label."""

    kind = ActionDataSample
    key = 'label'
    result_class = ActionResult


class MaskSamples(Samples):
    """Images with a mask."""

    kind = SegDataSample

    def fill(self, sample: Any, data: Mapping[str, Any], i: int) -> None:
        """Set ``gt_sem_seg``, ``(1, H, W)``."""
        if 'gt_semantic_seg' in data:
            sample.gt_sem_seg = PixelData(data=data['gt_semantic_seg'][i])

    def targets(self, samples: Sequence[Any]) -> dict[str, Tensor]:
        """Labels ``(N, 1, H, W)``."""
        return {'gt_semantic_seg': torch.stack([sample.gt_sem_seg.data for sample in samples])}

    def result_of(self, sample: Any, model: Any) -> Any:
        """From ``pred_sem_seg``."""
        is_sample = isinstance(sample, BaseDataElement)
        return self.result_of_answer(sample.get('pred_sem_seg').data, model) if is_sample else sample

    def result_of_answer(self, answer: Any, model: Any) -> Any:
        """From the class of every pixel ``(H, W)``."""
        array = answer.detach().cpu().numpy() if isinstance(answer, Tensor) else np.asarray(answer)
        mask = array.reshape(array.shape[-2:])
        fitting = np.uint8 if mask.max(initial=0) < 256 else np.int32
        return SegmentationResult(mask.astype(fitting), model.classes, model.PALETTE)

    def add_result(self, sample: Any, result: Any) -> None:
        """Set ``pred_sem_seg``, ``(1, H, W)``."""
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(result.mask.astype(np.int64))[None])

    def add_truth(self, sample: Any, dataset: Any, index: int | None) -> None:
        """Set ``gt_sem_seg`` from the mask of the data set."""
        if index is None or 'gt_sem_seg' in sample or not hasattr(dataset, 'get_gt_seg_map_by_idx'):
            return
        mask = dataset.get_gt_seg_map_by_idx(index).astype(np.int64)
        if getattr(dataset, 'reduce_zero_label', False):
            mask = np.where((mask == 0) | (mask == 255), 255, mask - 1)
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(mask)[None])

    def answer_of(self, result: Any, meta: Mapping[str, Any]) -> np.ndarray:
        """Classes ``(H, W)``."""
        return result.mask


class PoseSamples(Samples):
    """Crops of people with their joints encoded."""

    kind = PoseDataSample
    label_fields = ('keypoint_labels', 'keypoint_x_labels', 'keypoint_y_labels')

    def fill(self, sample: Any, data: Mapping[str, Any], i: int) -> None:
        """Set ``gt_fields.heatmaps``, or labels and weights of ``gt_instance_labels``."""
        sample.gt_instances, sample.gt_instance_labels = InstanceData(), InstanceData()
        ours = {'target': 'keypoint_labels', 'target_x': 'keypoint_x_labels', 'target_y': 'keypoint_y_labels'}
        if 'target' in data and data['target'].ndim == 4:
            sample.gt_fields = PixelData(heatmaps=data['target'][i])
        else:
            for name in ours.keys() & data.keys():
                sample.gt_instance_labels.set_field(data[name][i][None], ours[name])
        if 'target_weight' in data:
            sample.gt_instance_labels.keypoint_weights = data['target_weight'][i].reshape(1, -1)

    def targets(self, samples: Sequence[Any]) -> dict[str, Tensor]:
        """``target`` and ``target_weight``, as our heads take them."""
        weight = torch.cat([sample.gt_instance_labels.keypoint_weights for sample in samples])
        if 'gt_fields' in samples[0]:
            target = torch.stack([sample.gt_fields.heatmaps for sample in samples])
            return {'target': target, 'target_weight': weight[..., None]}
        names = dict(zip(self.label_fields, ('target', 'target_x', 'target_y'), strict=True))
        labels = [name for name in self.label_fields if name in samples[0].gt_instance_labels]
        found = {names[name]: torch.cat([s.gt_instance_labels.get(name) for s in samples]) for name in labels}
        return {**found, 'target_weight': weight}

    def result_of(self, sample: Any, model: Any) -> Any:
        """From ``pred_instances``."""
        if not isinstance(sample, BaseDataElement):
            return sample
        people = sample.get('pred_instances')
        keypoints, scores = _array(people.keypoints), _array(people.keypoint_scores)
        boxes = _array(people.get('bboxes', np.zeros((len(keypoints), 4), np.float32)))
        corner_and_size = np.concatenate([boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]], axis=1)
        return PoseResult(
            keypoints.reshape(len(keypoints), -1, 2), scores, corner_and_size,
            _array(people.get('bbox_scores', np.ones(len(keypoints), np.float32))),
            info=getattr(model, 'dataset_info', None),
        )  # fmt: skip

    def split(self, answers: Any) -> Iterable[Any]:
        """``preds (N, K, 3)`` and ``boxes (N, 6)`` of one dict, sample by sample."""
        count = len(answers['preds'])
        return [{name: answers[name][i] for name in ('preds', 'boxes') if name in answers} for i in range(count)]

    def result_of_answer(self, answer: Any, model: Any) -> Any:
        """From ``preds (K, 3)``, x, y and score, and ``boxes (6,)``: centre, scale, area and score."""
        pred_k3, box = _array(answer['preds']), _array(answer.get('boxes', np.zeros(6)))
        size = box[2:4] * PIXEL_STD
        return PoseResult(
            pred_k3[None, :, :2], pred_k3[None, :, 2], np.concatenate([box[:2] - size / 2, size])[None],
            box[5:6] if len(box) > 5 else np.ones(1, np.float32), info=getattr(model, 'dataset_info', None),
        )  # fmt: skip

    def add_result(self, sample: Any, result: Any) -> None:
        """Set ``pred_instances``."""
        corners = np.concatenate([result.boxes[:, :2], result.boxes[:, :2] + result.boxes[:, 2:4]], axis=1)
        sample.pred_instances = InstanceData(
            keypoints=result.keypoints, keypoint_scores=result.scores, bboxes=corners, bbox_scores=result.box_scores
        )

    def add_truth(self, sample: Any, dataset: Any, index: int | None) -> None:
        """Set ``gt_instances`` from the annotation."""
        if index is None or dataset is None:
            return
        row = dataset.annotations[index]
        if 'joints_3d' in row:
            sample.gt_instances = InstanceData(
                keypoints=row['joints_3d'][None, :, :2], keypoints_visible=row['joints_3d_visible'][None, :, 0]
            )
        sample.set_metainfo({'img_id': row.get('image_id'), 'id': row.get('id', index), 'raw_ann_info': dict(row)})

    def answer_of(self, result: Any, meta: Mapping[str, Any]) -> dict[str, Any]:
        """``preds (1, K, 3)`` and what belongs to them."""
        preds = np.concatenate([result.keypoints, result.scores[..., None]], axis=2)
        size = result.boxes[:, 2:4]
        rows = [result.boxes[:, :2] + size / 2, size / PIXEL_STD, size.prod(1)[:, None], result.box_scores[:, None]]
        return {
            'preds': preds, 'boxes': np.concatenate(rows, axis=1), 'image_paths': [meta.get('image_file', '')],
            'bbox_ids': [meta.get('bbox_id', 0)], 'output_heatmap': None,
        }  # fmt: skip


def _array(value: Any) -> np.ndarray:
    return (value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)).astype(np.float32)


SAMPLES: dict[str, Samples] = {
    'classification': ClassSamples(),
    'segmentation': MaskSamples(),
    'pose': PoseSamples(),
    'action': ActionSamples(),
}
"""Task -> its data samples."""
