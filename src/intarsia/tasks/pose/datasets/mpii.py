"""MPII Human Pose, in the JSON files of the toolboxes.

Shapes: k joints.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.tasks.pose.datasets.coco_file import CocoFile, read_json
from intarsia.tasks.pose.datasets.pose_dataset import PoseDataset
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD

LOWERED = 15
"""The centre is moved down by so many pixels for a scale of 1, so that feet are not cut off."""


@DATASETS.register_module()
class TopDownMpiiDataset(PoseDataset):
    """People in everyday life, 16 joints: where they are is known by a centre and a scale, coordinates begin at 1.

    From "2D Human Pose Estimation: New Benchmark and State of the Art Analysis", Andriluka et al., CVPR 2014. The file
    is a list of ``image``, ``center``, ``scale``, ``joints``, ``joints_vis``, and for PCKh ``head_size`` or
    ``headbox`` ``[x1, y1, x2, y2]``, whose diagonal times 0.6 is the unit of distances.

    Arguments as :class:`~intarsia.tasks.pose.datasets.pose_dataset.PoseDataset`.
    """

    DATASET_INFO = 'mpii'
    default_metrics = ('PCKh',)

    def load_annotations(self) -> list[dict[str, Any]]:
        """One row a person.

        Raises:
            DataError: The file is missing, broken, of other joints, or holds nobody.
        """
        people = read_json(self.ann_file)
        if not isinstance(people, list) or not people:
            raise DataError(
                f'{self.ann_file}: MPII wants a list of people, not {type(people).__name__}, or an empty one'
            )
        return [self.row(i, person) for i, person in enumerate(people)]

    def row(self, number: int, person: dict[str, Any]) -> dict[str, Any]:
        """The sample of a person."""
        count = self.info.num_keypoints
        scale = np.array([person['scale']] * 2, np.float32)
        center = np.array(person['center'], np.float32)
        if center[0] != -1:
            center[1] += LOWERED * scale[1]
        center -= 1
        joints, visible = np.zeros((2, count, 3), np.float32)
        if 'joints' in person:
            given = np.array(person['joints'], np.float32)
            if len(given) != count:
                raise DataError(f'person {number} of {self.ann_file} has {len(given)} joints, {self.info.name} {count}')
            joints[:, :2] = given[:, :2] - 1
            visible[:, :2] = np.array(person['joints_vis'], np.float32)[:, None]
        size = scale * PIXEL_STD
        return {
            **{key: person[key] for key in ('headbox', 'head_size') if key in person},
            'id': number,
            'image_id': person['image'],
            'image_file': self.image_file({'file_name': person['image']}),
            'center': center,
            'scale': scale,
            'bbox': np.concatenate([center - size / 2, size]),
            'bbox_id': number,
            'bbox_score': 1.0,
            'rotation': 0,
            'dataset': self.info.name,
            'joints_3d': joints,
            'joints_3d_visible': visible,
        }

    def truth(self, index: int) -> dict[str, Any]:
        """The person: ``keypoints`` (K, 2), ``visible`` (K,), ``bbox``, ``image_id``, ``bbox_id``, ``head_size``."""
        row = self.annotations[index]
        kept: dict[str, Any] = {
            key: row[key] for key in ('image_id', 'id', 'bbox_id', 'bbox', 'head_size') if key in row
        }
        if 'head_size' not in kept and 'headbox' in row:
            left, top, right, bottom = row['headbox']
            kept['head_size'] = 0.6 * float(np.hypot(right - left, bottom - top))
        return {**kept, 'keypoints': row['joints_3d'][:, :2], 'visible': row['joints_3d_visible'][:, 0]}

    def read_file(self) -> CocoFile | None:
        """None: the file has another format."""
        return None


@DATASETS.register_module()
class TopDownMpiiTrbDataset(TopDownMpiiDataset):
    """40 joints and points of the contour of MPII's people, in COCO's format with ``center`` and ``scale``.

    From "TRB: A Novel Triplet Representation for Understanding 2D Human Body", Duan et al., 2019, arXiv:1910.11535.
    Arguments as :class:`~intarsia.tasks.pose.datasets.pose_dataset.PoseDataset`.
    """

    DATASET_INFO = 'mpii_trb'

    def load_annotations(self) -> list[dict[str, Any]]:
        """One row a person with marked joints.

        Raises:
            DataError: The file is missing, broken, of other joints, or holds nobody.
        """
        coco = CocoFile.read(self.ann_file)
        names = {int(image['file_name'].rsplit('.', 1)[0]): image['file_name'] for image in coco.images.values()}
        rows = [self._of_coco(each, names[each['image_id']]) for each in coco.annotations if max(each['keypoints']) > 0]
        if not rows:
            raise DataError(f'{type(self).__name__}: nobody in {self.ann_file} has a marked joint')
        return sorted(rows, key=lambda row: row['bbox_id'])

    def _of_coco(self, annotation: Any, name: str) -> dict[str, Any]:
        what = f'annotation {annotation["id"]} of {self.ann_file}'
        joints, visible = self.joints_from(annotation['keypoints'], what)
        scale = (np.array(self.ann_info['image_size']) / annotation['scale'] / PIXEL_STD).astype(np.float32)
        center = np.array(annotation['center'], np.float32)
        return {
            **({'headbox': annotation['headbox']} if 'headbox' in annotation else {}),
            'id': annotation['id'],
            'image_id': annotation['image_id'],
            'image_file': self.image_file({'file_name': name}),
            'center': center,
            'scale': scale,
            'bbox': np.concatenate([center - scale * PIXEL_STD / 2, scale * PIXEL_STD]),
            'bbox_id': annotation['id'],
            'bbox_score': 1.0,
            'rotation': 0,
            'dataset': self.info.name,
            'joints_3d': joints,
            'joints_3d_visible': visible,
        }
