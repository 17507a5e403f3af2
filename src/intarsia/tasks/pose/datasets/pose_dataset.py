"""What all data sets of poses share: their joints, sizes, and what is told to pipelines and metrics.

Shapes: k joints.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.dataset import BaseDataset
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results
from intarsia.tasks.pose.codecs.codec import Codec, build_codec
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.datasets.coco_file import CocoFile
from intarsia.tasks.pose.transforms.convert_joints import joints_of


class PoseDataset(BaseDataset):
    """Images with joints.

    A subclass implements ``load_annotations`` and :meth:`truth`.

    Args:
        ann_file: The annotations.
        img_prefix: Folder of the images.
        data_cfg: ``image_size`` and ``heatmap_size``, width and height, where there is no codec;
            ``use_different_joint_weights``, whether the loss weighs joints as the data set says; and what the subclass
            and metrics take.
        pipeline: Transform nodes or callables.
        dataset_info: The joints: a name or a dict; None takes those of the class. See
            :class:`~intarsia.tasks.pose.dataset_info.DatasetInfo`.
        test_mode: For validation and testing.
        codec: The codec of the model, or its node.

    Raises:
        DataError: The annotations are missing, broken, or of other joints.
        ValueError: There is neither ``codec`` nor ``image_size``, or numbers of joints contradict each other.
    """

    DATASET_INFO: str | None = None
    """Name of the joints, if nothing else is said."""
    default_metrics: Sequence[str | Mapping[str, Any]] = ('mAP',)
    """What is measured, if nothing else is said: names, or nodes of METRICS."""
    METRIC_ARGUMENTS: ClassVar[Mapping[str, Any]] = {}
    """What metrics have to know of this data set besides its joints."""

    def __init__(
        self,
        ann_file: str,
        img_prefix: str = '',
        data_cfg: Mapping[str, Any] | None = None,
        pipeline: Sequence[Mapping[str, Any]] = (),
        dataset_info: DatasetInfo | Mapping[str, Any] | str | None = None,
        test_mode: bool = False,
        codec: Codec | Mapping[str, Any] | None = None,
    ) -> None:
        self.ann_file = ann_file
        self.img_prefix = img_prefix
        self.data_cfg = dict(data_cfg or {})
        joints = dataset_info if dataset_info is not None else self.DATASET_INFO
        if joints is None:
            raise ValueError(f"{type(self).__name__} needs dataset_info, a name ('coco') or a dict")
        self.info = DatasetInfo.of(joints)
        count = self.data_cfg.get('num_joints', self.info.num_keypoints)
        if count != self.info.num_keypoints:
            raise ValueError(f'data_cfg has num_joints={count}, but {self.info.name} {self.info.num_keypoints} joints')
        self.codec = build_codec(codec)
        self.ann_info = self.make_ann_info()
        super().__init__(pipeline, test_mode, task='pose')

    def make_ann_info(self) -> dict[str, Any]:
        """What transforms want to know of all samples: sizes and joints."""
        sizes = {
            'image_size': self.data_cfg.get('image_size', getattr(self.codec, 'input_size', None)),
            'heatmap_size': self.data_cfg.get('heatmap_size', getattr(self.codec, 'heatmap_size', None)),
        }
        if sizes['image_size'] is None:
            raise ValueError(f'{type(self).__name__} needs the codec of the model, or image_size in data_cfg')
        return {
            **joints_of(self.info),
            **{key: np.array(size) for key, size in sizes.items() if size is not None},
            'use_different_joint_weights': bool(self.data_cfg.get('use_different_joint_weights', False)),
        }

    # ---------------------------------------------------------------------- samples

    def prepare(self, index: int) -> Results:
        """The annotation, with ``ann_info`` and the codec."""
        return {**super().prepare(index), 'ann_info': self.ann_info, 'codec': self.codec}

    def describe(self, index: int) -> str:
        """The image, and which annotation of it."""
        row = self.annotations[index]
        return f'{row["image_file"]}, annotation {row.get("id", "?")} of {self.ann_file}'

    def image_file(self, image: Mapping[str, Any]) -> str:
        """The path of an image of the annotation file."""
        return os.path.join(self.img_prefix, image['file_name'])

    def joints_from(self, values: Sequence[float], what: str) -> tuple[Array, Array]:
        """Joints ``(K, 3)``, x, y, 0, and how visible they are ``(K, 3)``, 0 or 1 in the first two columns.

        Args:
            values: x, y and visibility of one joint after the other.
            what: Names the annotation, for messages.

        Raises:
            DataError: There are more joints, or fewer.
        """
        count = self.info.num_keypoints
        if len(values) != 3 * count:
            raise DataError(
                f'{what} has {len(values)} numbers for {len(values) / 3:g} joints, but {self.info.name} has {count} '
                f'joints, which makes {3 * count} numbers: is dataset_info that of this file?'
            )
        given = np.array(values, np.float32).reshape(count, 3)
        joints, visible = np.zeros((2, count, 3), np.float32)
        joints[:, :2] = given[:, :2]
        visible[:, :2] = np.minimum(1, given[:, 2:])
        return joints, visible

    # ---------------------------------------------------------------------- evaluation

    def truth(self, index: int) -> dict[str, Any]:
        """What the result for a sample is compared with."""
        raise NotImplementedError(f'{type(self).__name__} has no truth(index)')

    def metric_arguments(self) -> dict[str, Any]:
        """What metrics have to know of the data: file, joints, and what ``data_cfg`` says of them."""
        told = ('use_nms', 'soft_nms', 'oks_thr', 'vis_thr')
        return {
            'ann_file': self.ann_file,
            'dataset_info': self.info,
            'sigmas': self.info.sigmas,
            **self.METRIC_ARGUMENTS,
            **{key: self.data_cfg[key] for key in told if key in self.data_cfg},
        }

    # ---------------------------------------------------------------------- checking

    def read_file(self) -> CocoFile | None:
        """The annotation file, read anew; None if it has another format."""
        return CocoFile.read(self.ann_file)

    def parts_of(self, annotation: Mapping[str, Any]) -> Iterable[tuple[Sequence[float], Sequence[float] | None]]:
        """Joints and box of each sample that an annotation makes."""
        return [(annotation.get('keypoints', ()), annotation.get('bbox'))]
