"""People, one a sample, from files in the format of COCO.

Shapes: k joints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.tasks.pose.datasets.coco_file import Annotation, CocoFile, read_json
from intarsia.tasks.pose.datasets.pose_dataset import PoseDataset

Row = dict[str, Any]
TRUTH = ('image_id', 'id', 'bbox_id', 'bbox', 'area', 'category_id', 'iscrowd', 'head_size', 'box_size')
"""What is kept of an annotation for metrics, as far as it is there."""
PERSON = 1
"""Category of detected boxes that are used."""


@DATASETS.register_module()
class TopDownCocoDataset(PoseDataset):
    """One person a sample: the 17 joints of COCO, or any others in the same format.

    From "Microsoft COCO: Common Objects in Context", Lin et al., 2014, arXiv:1405.0312. Boxes are those of the
    annotations, cut off at the image; crowds, and people without marked joints, area or box, are left out. With
    ``use_gt_bbox=False`` in ``data_cfg`` a data set in ``test_mode`` takes the boxes of a detector instead, from
    ``bbox_file``: a JSON list of ``image_id``, ``category_id``, ``bbox`` and ``score``, those with ``det_bbox_thr`` or
    more.

    Arguments as :class:`~intarsia.tasks.pose.datasets.pose_dataset.PoseDataset`.
    """

    DATASET_INFO = 'coco'
    CLIPS_BOXES = True
    """Whether boxes are cut off at the image, and people without area left out."""
    FIXED_BOX: tuple[float, ...] | None = None
    """The box of everybody; None takes those of the annotations."""
    FIRST_PIXEL = 0
    """Coordinate of the first pixel in the files."""

    def load_annotations(self) -> list[Row]:
        """One row a person.

        Raises:
            DataError: The file is missing, broken, of other joints, or holds nobody.
        """
        coco = CocoFile.read(self.ann_file)
        if self.test_mode and not self.data_cfg.get('use_gt_bbox', True):
            rows = list(self.detected(coco))
        else:
            groups = coco.by_image()
            rows = [row for image_id, image in coco.images.items() for row in self.people_of(image, groups[image_id])]
        if not rows:
            raise DataError(
                f'{type(self).__name__}: there is nobody in {self.ann_file}: {len(coco.images)} images, '
                f'{len(coco.annotations)} annotations, none with a box and a marked joint'
            )
        return [{**row, 'bbox_id': i} for i, row in enumerate(rows)]

    # ---------------------------------------------------------------------- annotated people

    def people_of(self, image: Mapping[str, Any], annotations: Sequence[Annotation]) -> Iterator[Row]:
        """The people in an image."""
        for annotation in annotations:
            if annotation.get('iscrowd', 0) or annotation.get('num_keypoints', 1) == 0:
                continue
            for values, box in self.parts_of(annotation):
                bbox = self.box_in(image, annotation, box) if len(values) and max(values) > 0 else None
                if bbox is not None:
                    yield self.row(image, annotation, values, bbox)

    def box_in(self, image: Mapping[str, Any], annotation: Annotation, box: Any) -> Any:
        """The box of a person: x, y, width, height; None if it is of no use."""
        if self.FIXED_BOX is not None or box is None:
            return self.FIXED_BOX
        x, y, width, height = box
        x, y = x - self.FIRST_PIXEL, y - self.FIRST_PIXEL
        if not self.CLIPS_BOXES:
            return [x, y, width, height]
        left, top = max(0, x), max(0, y)
        right = min(image['width'] - 1, left + max(0, width))
        bottom = min(image['height'] - 1, top + max(0, height))
        if annotation.get('area', 1) <= 0 or right <= left or bottom <= top:
            return None
        return [left, top, right - left, bottom - top]

    def row(self, image: Mapping[str, Any], annotation: Annotation, values: Sequence[float], bbox: Any) -> Row:
        """The sample of a person."""
        joints, visible = self.joints_from(values, f'annotation {annotation.get("id")} of {self.ann_file}')
        joints[:, :2] -= self.FIRST_PIXEL
        row = {key: annotation[key] for key in TRUTH if key in annotation}
        if 'center' in annotation and 'scale' in annotation:
            row['center'] = np.array(annotation['center'], np.float32)
            row['scale'] = np.broadcast_to(np.asarray(annotation['scale'], np.float32), 2).copy()
        return {
            **row,
            'image_id': image['id'],
            'image_file': self.image_file(image),
            'bbox': np.array(bbox, np.float32),
            'bbox_score': 1.0,
            'rotation': 0,
            'dataset': self.info.name,
            'joints_3d': joints,
            'joints_3d_visible': visible,
        }

    # ---------------------------------------------------------------------- detected people

    def detected(self, coco: CocoFile) -> Iterator[Row]:
        """The boxes of a detector.

        Raises:
            DataError: There is no such file, or it is of other images.
        """
        file = self.data_cfg.get('bbox_file')
        if not file:
            raise DataError(f'{type(self).__name__}: use_gt_bbox=False needs bbox_file, the boxes of a detector')
        least, count = self.data_cfg.get('det_bbox_thr', 0.0), self.info.num_keypoints
        for i, found in enumerate(read_json(file)):
            if found.get('category_id', PERSON) != PERSON or found['score'] < least:
                continue
            image = coco.images.get(found['image_id'])
            if image is None:
                raise DataError(f'{file}: box {i} is of image {found["image_id"]}, which {self.ann_file} does not have')
            yield {
                'image_id': found['image_id'],
                'image_file': self.image_file(image),
                'bbox': np.array(found['bbox'][:4], np.float32),
                'bbox_score': float(found['score']),
                'rotation': 0,
                'dataset': self.info.name,
                'joints_3d': np.zeros((count, 3), np.float32),
                'joints_3d_visible': np.ones((count, 3), np.float32),
            }

    # ---------------------------------------------------------------------- evaluation

    def truth(self, index: int) -> dict[str, Any]:
        """The person: ``keypoints`` (K, 2) and ``visible`` (K,), float32, and what is known besides.

        That is ``bbox``, ``image_id``, ``bbox_id``, and what there is of ``id``, ``area``, ``category_id``,
        ``iscrowd``, ``head_size`` and ``box_size``. Of a detected box the joints mean nothing.
        """
        row = self.annotations[index]
        kept = {key: row[key] for key in (*TRUTH, 'bbox_score') if key in row}
        return {**kept, 'keypoints': row['joints_3d'][:, :2], 'visible': row['joints_3d_visible'][:, 0]}
