"""COCO-WholeBody: body, feet, face and hands of people, together or apart.

From "Whole-Body Human Pose Estimation in the Wild", Jin et al., 2020, arXiv:2007.11858.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from intarsia.core.registries import DATASETS
from intarsia.tasks.pose.datasets.bottom_up import BottomUpCocoDataset
from intarsia.tasks.pose.datasets.coco_file import Annotation
from intarsia.tasks.pose.datasets.top_down import TopDownCocoDataset

PARTS = ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')
"""Where a person's joints are in an annotation, in the order of the 133 joints."""

Part = tuple[Sequence[float], Sequence[float] | None]


def whole_body(annotation: Annotation) -> list[float]:
    """The joints of a person one after the other; visible (1) is whatever is more than 0. Empty without body."""
    values = [value for part in PARTS for value in annotation[part]] if annotation.get('keypoints') else []
    values[2::3] = [float(value > 0) for value in values[2::3]]
    return values


@DATASETS.register_module()
class TopDownCocoWholeBodyDataset(TopDownCocoDataset):
    """133 joints of one person."""

    DATASET_INFO = 'coco_wholebody'
    METRIC_ARGUMENTS: ClassVar = {'iou_type': 'keypoints_wholebody'}

    def parts_of(self, annotation: Annotation) -> Iterable[Part]:
        """All joints, and the box."""
        return [(whole_body(annotation), annotation.get('bbox'))]


@DATASETS.register_module()
class UBody2dDataset(TopDownCocoWholeBodyDataset):
    """People whose upper bodies fill the frames of videos, 133 joints.

    "One-Stage 3D Whole-Body Mesh Recovery with Component Aware Transformer", Lin et al., 2023, arXiv:2303.16160.
    """

    DATASET_INFO = 'ubody2d'


@DATASETS.register_module()
class BottomUpCocoWholeBodyDataset(BottomUpCocoDataset):
    """133 joints of all people in an image."""

    DATASET_INFO = 'coco_wholebody'
    METRIC_ARGUMENTS: ClassVar = {'iou_type': 'keypoints_wholebody'}

    def parts_of(self, annotation: Annotation) -> Iterable[Part]:
        """All joints, and the box."""
        return [(whole_body(annotation), annotation.get('bbox'))]


class _Part(TopDownCocoDataset):
    """A part of people that has a box of its own."""

    CLIPS_BOXES = False
    NAMES: tuple[str, ...] = ()

    def parts_of(self, annotation: Annotation) -> Iterable[Part]:
        """Joints and box of each such part that is marked."""
        marked = [name for name in self.NAMES if annotation.get(f'{name}_valid')]
        return [(annotation[f'{name}_kpts'], annotation[f'{name}_box']) for name in marked]

    def people_of(self, image: Any, annotations: Sequence[Annotation]) -> Any:
        """Also of people whose body nobody has marked."""
        return super().people_of(image, [{**each, 'num_keypoints': 1} for each in annotations])


@DATASETS.register_module()
class FaceCocoWholeBodyDataset(_Part):
    """68 points of a face; NME is in distances between the outer corners of the eyes."""

    DATASET_INFO = 'coco_wholebody_face'
    default_metrics = ('NME',)
    METRIC_ARGUMENTS: ClassVar = {'norm_mode': 'keypoint_distance', 'keypoint_indices': (36, 45)}
    NAMES = ('face',)


@DATASETS.register_module()
class HandCocoWholeBodyDataset(_Part):
    """21 joints of a hand, left or right."""

    DATASET_INFO = 'coco_wholebody_hand'
    default_metrics = ('PCK', 'AUC', 'EPE')
    NAMES = ('lefthand', 'righthand')
