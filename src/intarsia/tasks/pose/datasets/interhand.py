"""Two hands, in a studio with many cameras: joints are points in the world, and where a camera sees them.

From "InterHand2.6M: A Dataset and Baseline for 3D Interacting Hand Pose Estimation from a Single RGB Image", Moon et
al., 2020, arXiv:2008.09309.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.data.transforms.image_transform import Array
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.datasets.coco_file import Annotation, CocoFile, read_json
from intarsia.tasks.pose.datasets.top_down import Row, TopDownCocoDataset

HANDS = 2
LEAST_JOINTS = 12
"""A hand with fewer joints is left out."""


class _StudioDataset(TopDownCocoDataset):
    """What both data sets below have in common: they look up where cameras stand, and where joints are."""

    default_metrics = ('PCK', 'AUC', 'EPE')

    def __init__(
        self,
        ann_file: str,
        camera_file: str,
        joint_file: str,
        img_prefix: str,
        data_cfg: Mapping[str, Any] | None,
        pipeline: Sequence[Mapping[str, Any]],
        dataset_info: DatasetInfo | Mapping[str, Any] | str | None,
        test_mode: bool,
        codec: Codec | Mapping[str, Any] | None,
    ) -> None:
        self.camera_file, self.joint_file = camera_file, joint_file
        self._cameras: Mapping[str, Any] = {}
        self._joints: Mapping[str, Any] = {}
        super().__init__(ann_file, img_prefix, data_cfg, pipeline, dataset_info, test_mode, codec)

    def load_annotations(self) -> list[Row]:
        """One row a hand, or two.

        Raises:
            DataError: A file is missing, broken, of other joints or cameras, or holds nobody.
        """
        self._cameras, self._joints = read_json(self.camera_file), read_json(self.joint_file)
        rows = super().load_annotations()
        self._cameras = self._joints = {}
        return rows

    def people_of(self, image: Mapping[str, Any], annotations: Sequence[Annotation]) -> Iterator[Row]:
        """The hands in an image, of its first annotation."""
        for annotation in [each for each in annotations if not each.get('iscrowd', 0)][:1]:
            yield from self.hands_of(image, annotation)

    def hands_of(self, image: Mapping[str, Any], annotation: Annotation) -> Iterator[Row]:
        """The samples that an annotation makes."""
        raise NotImplementedError(f'{type(self).__name__} has no hands_of(image, annotation)')

    def seen(self, image: Mapping[str, Any], annotation: Annotation) -> Array:
        """Joints of both hands, the right one first, as the camera sees them: float32 ``(2, K, 3)``, x, y and whether.

        A hand whose wrist, its last joint, is not valid has no visible joint.
        """
        try:
            cameras = self._cameras[str(image['capture'])]
            camera = {key: np.array(cameras[key][image['camera']], np.float32)
                      for key in ('campos', 'camrot', 'focal', 'princpt')}  # fmt: skip
            world = self._joints[str(image['capture'])][str(image['frame_idx'])]['world_coord']
        except KeyError as error:
            files = f'{self.camera_file} and {self.joint_file}'
            raise DataError(f'image {image["id"]} of {self.ann_file}: {files} do not tell {error}') from error
        point_3k = camera['camrot'] @ (np.array(world, np.float32).T - camera['campos'][:, None])
        xy_2k = point_3k[:2] / (point_3k[2] + 1e-8) * camera['focal'][:, None] + camera['princpt'][:, None]
        valid_hk = np.array(annotation['joint_valid'], np.float32).reshape(HANDS, -1)
        visible_hk = np.minimum(valid_hk * valid_hk[:, -1:], 1)
        return np.concatenate([xy_2k.T.reshape(HANDS, -1, 2), visible_hk[..., None]], -1).astype(np.float32)


@DATASETS.register_module()
class InterHand2DDataset(_StudioDataset):
    """One hand a sample, 21 joints; its box is that of its joints.

    Args:
        ann_file: The annotations.
        camera_file: Positions, rotations, focal lengths and principal points of cameras, by capture.
        joint_file: Joints in the world, by capture and frame.
        img_prefix: Folder of the images.
        data_cfg: See :class:`~intarsia.tasks.pose.datasets.pose_dataset.PoseDataset`.
        pipeline: Transform nodes or callables.
        dataset_info: The joints, if not those.
        test_mode: For validation and testing.
        codec: The codec of the model, or its node.
    """

    DATASET_INFO = 'interhand2d'

    def __init__(
        self,
        ann_file: str,
        camera_file: str,
        joint_file: str,
        img_prefix: str = '',
        data_cfg: Mapping[str, Any] | None = None,
        pipeline: Sequence[Mapping[str, Any]] = (),
        dataset_info: DatasetInfo | Mapping[str, Any] | str | None = None,
        test_mode: bool = False,
        codec: Codec | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            ann_file, camera_file, joint_file, img_prefix, data_cfg, pipeline, dataset_info, test_mode, codec
        )

    def hands_of(self, image: Mapping[str, Any], annotation: Annotation) -> Iterator[Row]:
        """Each hand with enough visible joints."""
        frame = np.array([image['width'], image['height']], np.float32)
        for joints_k3 in self.seen(image, annotation):
            visible = joints_k3[:, 2] > 0
            if joints_k3[:, 2].sum() >= LEAST_JOINTS:
                low = np.minimum(joints_k3[visible, :2].min(0), frame)
                high = np.maximum(joints_k3[visible, :2].max(0), 0)
                yield self.row(image, annotation, joints_k3.ravel().tolist(), [*low, *(high - low)])


@DATASETS.register_module()
class InterHand2DDoubleDataset(_StudioDataset):
    """Both hands a sample, 42 joints, those of the right hand first.

    Args:
        ann_file: The annotations.
        camera_param_file: Positions, rotations, focal lengths and principal points of cameras, by capture.
        joint_file: Joints in the world, by capture and frame.
        use_gt_root_depth: Whether boxes are those of the annotations.
        rootnet_result_file: Other boxes, a JSON list of ``annot_id`` and ``bbox``.
        img_prefix: Folder of the images.
        data_cfg: See :class:`~intarsia.tasks.pose.datasets.pose_dataset.PoseDataset`.
        pipeline: Transform nodes or callables.
        dataset_info: The joints, if not those.
        test_mode: For validation and testing.
        codec: The codec of the model, or its node.
        sample_interval: Of so many images, one is taken.

    Raises:
        ValueError: Boxes are to be others, but there is no file of them.
    """

    DATASET_INFO = 'interhand3d'

    def __init__(
        self,
        ann_file: str,
        camera_param_file: str,
        joint_file: str,
        use_gt_root_depth: bool = True,
        rootnet_result_file: str | None = None,
        img_prefix: str = '',
        data_cfg: Mapping[str, Any] | None = None,
        pipeline: Sequence[Mapping[str, Any]] = (),
        dataset_info: DatasetInfo | Mapping[str, Any] | str | None = None,
        test_mode: bool = False,
        codec: Codec | Mapping[str, Any] | None = None,
        sample_interval: int = 1,
    ) -> None:
        if not use_gt_root_depth and rootnet_result_file is None:
            raise ValueError(f'{type(self).__name__}: use_gt_root_depth=False needs rootnet_result_file')
        self.box_file = None if use_gt_root_depth else rootnet_result_file
        self.sample_interval = sample_interval
        self._boxes: Mapping[str, Any] | None = None
        super().__init__(
            ann_file, camera_param_file, joint_file, img_prefix, data_cfg, pipeline, dataset_info, test_mode, codec
        )

    def load_annotations(self) -> list[Row]:
        """One row an image."""
        if self.box_file is not None:
            self._boxes = {str(each['annot_id']): each['bbox'] for each in read_json(self.box_file)}
        return super().load_annotations()[:: self.sample_interval]

    def hands_of(self, image: Mapping[str, Any], annotation: Annotation) -> Iterator[Row]:
        """The only sample."""
        joints_hk3 = self.seen(image, annotation)
        box = annotation['bbox'] if self._boxes is None else self._boxes[str(annotation['id'])]
        yield self.row(image, annotation, joints_hk3.ravel().tolist(), box)

    def read_file(self) -> CocoFile | None:
        """None: joints are in another file."""
        return None
