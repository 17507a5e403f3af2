"""The annotated people of a file in COCO's format, as its metric sees them.

Shapes: g annotated people, k joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from intarsia.core.errors import DataError
from intarsia.tasks.pose.metrics.average_precision import Annotated

AREA_OF_BOX = 0.53
"""Part of its box that a person covers, where areas are not annotated."""
WHOLE_BODY = {'keypoints': 17, 'foot_kpts': 6, 'face_kpts': 68, 'lefthand_kpts': 21, 'righthand_kpts': 21}
"""Lists of joints in annotations of COCO-WholeBody, and how many each has, in the order of its 133 joints."""

IouType = Literal[
    'keypoints', 'keypoints_crowd', 'keypoints_wholebody', 'keypoints_body', 'keypoints_foot', 'keypoints_face',
    'keypoints_lefthand', 'keypoints_righthand',
]  # fmt: skip


class Joints(NamedTuple):
    """Which joints are compared.

    Attributes:
        lists: Where they are in an annotation, and how many each list has.
        chosen: Which of the found joints they are.
        is_counted: Whether the annotation says how many of them are marked.
    """

    lists: Mapping[str, int]
    chosen: slice
    is_counted: bool


def joints_of(iou_type: IouType, num_joints: int) -> Joints:
    """The joints that a kind of OKS compares.

    Raises:
        ValueError: The kind is unknown, or is one of whole bodies, but there are not their 133 joints.
    """
    if iou_type not in get_args(IouType):
        raise ValueError(f'iou_type is one of {", ".join(get_args(IouType))}, not {iou_type!r}')
    if iou_type in ('keypoints', 'keypoints_crowd'):
        return Joints({'keypoints': num_joints}, slice(0, num_joints), True)
    if num_joints != sum(WHOLE_BODY.values()):
        raise ValueError(f'{iou_type} is for the {sum(WHOLE_BODY.values())} joints of whole bodies, not {num_joints}')
    if iou_type == 'keypoints_wholebody':
        return Joints(WHOLE_BODY, slice(0, num_joints), False)
    part = iou_type.removeprefix('keypoints_')
    name = 'keypoints' if part == 'body' else f'{part}_kpts'
    end = dict(zip(WHOLE_BODY, accumulate(WHOLE_BODY.values()), strict=True))[name]
    return Joints({name: WHOLE_BODY[name]}, slice(end - WHOLE_BODY[name], end), False)


def annotated_people(annotations: Sequence[Mapping[str, Any]], joints: Joints, use_area: bool) -> Annotated:
    """Annotations of an image as arrays, those without joints left out.

    Args:
        annotations: Rows of the file.
        joints: Which joints are compared.
        use_area: Whether areas are those of the annotations, or a part of the box.

    Raises:
        DataError: A person has other joints, or no area.
    """
    known = [each for each in annotations if all(len(each.get(name) or ()) for name in joints.lists)]
    joints_gk3 = np.array([_joints_of(each, joints.lists) for each in known], np.float64)
    joints_gk3 = joints_gk3.reshape(len(known), -1, 3) if known else np.zeros((0, sum(joints.lists.values()), 3))
    boxes_g4 = np.array([each['bbox'] for each in known], np.float64).reshape(-1, 4)
    area_g = np.array([_area_of(each) for each in known]) if use_area else AREA_OF_BOX * boxes_g4[:, 2:].prod(1)
    crowd_g = np.array([bool(each.get('iscrowd', 0)) for each in known], bool)
    count_g = (joints_gk3[..., 2] > 0).sum(1)
    if joints.is_counted:
        count_g = np.array([each.get('num_keypoints', n) for each, n in zip(known, count_g, strict=True)], np.int64)
    return Annotated(joints_gk3, boxes_g4, area_g, crowd_g | (count_g == 0), crowd_g)


def _joints_of(annotation: Mapping[str, Any], lists: Mapping[str, int]) -> list[float]:
    for name, count in lists.items():
        if len(annotation[name]) != 3 * count:
            raise DataError(
                f'annotation {annotation.get("id")} has {len(annotation[name]) / 3:g} joints in {name}, not {count}'
                + ("; iou_type='keypoints_wholebody' is for whole bodies" if 'foot_kpts' in annotation else '')
            )
    return [value for name in lists for value in annotation[name]]


def _area_of(annotation: Mapping[str, Any]) -> float:
    if 'area' not in annotation:
        raise DataError(f'annotation {annotation.get("id")} has no area; use_area=False takes a part of the box')
    return float(annotation['area'])
