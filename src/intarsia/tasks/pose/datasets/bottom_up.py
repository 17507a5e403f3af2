"""Images with all people in them, from files in the format of COCO.

Shapes: p people, k joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results
from intarsia.tasks.pose.datasets.coco_file import Annotation, CocoFile
from intarsia.tasks.pose.datasets.pose_dataset import PoseDataset
from intarsia.tasks.pose.datasets.region_mask import draw_region


@DATASETS.register_module()
class BottomUpCocoDataset(PoseDataset):
    """One image a sample, with the joints of all people: those of COCO, or any others in the same format.

    From "Microsoft COCO: Common Objects in Context", Lin et al., 2014, arXiv:1405.0312. A sample has lists with an
    entry for each size of heat maps: ``joints`` float32 ``(P, K, 3)``, x, y and how visible (0, 1, 2), in pixels of the
    image; and ``mask`` bool ``(H, W)``, False on crowds and on people whose joints nobody has marked. For training,
    images without annotations are left out.

    ``data_cfg`` also knows ``num_scales``, how many sizes of maps there are; ``scale_aware_sigma``, ``base_size`` and
    ``base_sigma``: a fourth number of each joint, the sigma of a person with a box of the longer side ``base_size`` is
    ``base_sigma``; and ``with_bbox``: adds the corners of boxes ``bboxes`` ``(P, 4, 2)`` and ``areas`` ``(P, 1)``.

    Arguments as :class:`~intarsia.tasks.pose.datasets.pose_dataset.PoseDataset`.
    """

    DATASET_INFO = 'coco'
    OF_NAMED_METRICS: ClassVar = {'score_mode': 'bbox', 'use_nms': False}
    """What a metric does where it is only named: people have scores, and are found once."""

    def make_ann_info(self) -> dict[str, Any]:
        """Sizes of all heat maps in a list, and joints."""
        info = super().make_ann_info()
        sizes = info.get('heatmap_size', np.zeros((0, 2), int))
        if 'heatmap_size' not in self.data_cfg and sizes.ndim == 1:
            sizes = sizes[None]
        return {
            **info,
            'heatmap_size': sizes,
            'num_scales': self.data_cfg.get('num_scales', len(sizes)),
            'scale_aware_sigma': bool(self.data_cfg.get('scale_aware_sigma', False)),
        }

    def load_annotations(self) -> list[dict[str, Any]]:
        """One row an image.

        Raises:
            DataError: The file is missing, broken, of other joints, or holds no image.
        """
        coco = CocoFile.read(self.ann_file)
        groups = coco.by_image()
        rows = [
            self.row(image, groups[image_id])
            for image_id, image in coco.images.items()
            if self.test_mode or groups[image_id]
        ]
        if not rows:
            raise DataError(f'{type(self).__name__}: {self.ann_file} has no image with annotations')
        return rows

    def row(self, image: Mapping[str, Any], annotations: Sequence[Annotation]) -> dict[str, Any]:
        """The sample of an image."""
        people = [
            (each, values, box) for each in annotations for values, box in self.parts_of(each) if _is_marked(values)
        ]
        joints = [self._joints(each, values, box) for each, values, box in people]
        width = 4 if self.ann_info['scale_aware_sigma'] else 3
        row = {
            'id': image['id'],
            'image_id': image['id'],
            'image_file': self.image_file(image),
            'dataset': self.info.name,
            'size': (image['height'], image['width']),
            'people': np.array(joints, np.float32).reshape(-1, self.info.num_keypoints, width),
            'regions': [each['segmentation'] for each in annotations if _is_unmarked(each)],
            'truth': {
                'bbox': np.array([box for _, _, box in people], np.float32).reshape(-1, 4),
                'area': [each.get('area') for each, _, _ in people],
                'ids': [each.get('id') for each, _, _ in people],
            },
        }
        if self.data_cfg.get('with_bbox', getattr(self.codec, 'needs_boxes', False)):
            x, y, w, h = row['truth']['bbox'].T.astype(float)
            corners = [(x, y), (x + w, y), (x, y + h), (x + w, y + h)]
            row |= {'bboxes': np.array(corners).transpose(2, 0, 1), 'areas': (w * h)[:, None]}
        return row

    def _joints(self, annotation: Annotation, values: Sequence[float], box: Any) -> Array:
        """Joints of a person ``(K, 3)``, or ``(K, 4)`` with their sigma."""
        joints, _ = self.joints_from(values, f'annotation {annotation.get("id")} of {self.ann_file}')
        joints[:, 2] = values[2::3]
        if not self.ann_info['scale_aware_sigma']:
            return joints
        sigma = max(box[2:]) / self.data_cfg['base_size'] * self.data_cfg['base_sigma']
        return np.concatenate([joints, np.full((len(joints), 1), sigma, np.float32)], axis=1)

    def prepare(self, index: int) -> Results:
        """Names, joints and masks."""
        results = super().prepare(index)
        people, regions, size = results.pop('people'), results.pop('regions'), results.pop('size')
        results.pop('truth')
        mask = np.ones(size, bool)
        for region in regions:
            mask &= ~draw_region(region, size)
        scales = range(self.ann_info['num_scales'])
        return {**results, 'joints': [people for _ in scales], 'mask': [mask for _ in scales]}

    def truth(self, index: int) -> dict[str, Any]:
        """All people: ``keypoints`` (P, K, 2), ``visible`` (P, K), ``bbox`` (P, 4), ``area``, ``ids``; ``image_id``."""
        row = self.annotations[index]
        people = row['people']
        return {
            **row['truth'],
            'image_id': row['image_id'],
            'keypoints': people[..., :2],
            'visible': np.minimum(people[..., 2], 1),
        }


def _is_marked(values: Sequence[float]) -> bool:
    return len(values) > 0 and max(values[2::3]) > 0


def _is_unmarked(annotation: Annotation) -> bool:
    """Whether a region shows people that a network may find without being wrong."""
    is_unmarked = annotation.get('iscrowd', 0) or annotation.get('num_keypoints', 1) == 0
    return bool(is_unmarked and annotation.get('segmentation'))


@DATASETS.register_module()
class BottomUpCrowdPoseDataset(BottomUpCocoDataset):
    """Crowds, 14 joints. "CrowdPose: Efficient Crowded Scenes Pose Estimation", Li et al., 2018, arXiv:1812.00324."""

    DATASET_INFO = 'crowdpose'
    METRIC_ARGUMENTS: ClassVar = {'use_area': False, 'iou_type': 'keypoints_crowd'}


@DATASETS.register_module()
class BottomUpAicDataset(BottomUpCocoDataset):
    """14 joints. "AI Challenger", Wu et al., 2017, arXiv:1711.06475."""

    DATASET_INFO = 'aic'
    METRIC_ARGUMENTS: ClassVar = {'use_area': False}


@DATASETS.register_module()
class BottomUpMhpDataset(BottomUpCocoDataset):
    """16 joints. "Understanding Humans in Crowded Scenes", Zhao et al., 2018, arXiv:1804.03287."""

    DATASET_INFO = 'mhp'
    METRIC_ARGUMENTS: ClassVar = {'use_area': False}
