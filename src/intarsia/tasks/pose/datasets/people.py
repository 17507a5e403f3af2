"""People: data sets that differ from COCO in their joints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from intarsia.core.registries import DATASETS
from intarsia.tasks.pose.datasets.coco_file import Annotation
from intarsia.tasks.pose.datasets.top_down import TopDownCocoDataset


@DATASETS.register_module()
class TopDownCrowdPoseDataset(TopDownCocoDataset):
    """Crowds, 14 joints. "CrowdPose: Efficient Crowded Scenes Pose Estimation", Li et al., 2018, arXiv:1812.00324."""

    DATASET_INFO = 'crowdpose'
    METRIC_ARGUMENTS: ClassVar = {'use_area': False, 'iou_type': 'keypoints_crowd'}


@DATASETS.register_module()
class TopDownAicDataset(TopDownCocoDataset):
    """14 joints. "AI Challenger", Wu et al., 2017, arXiv:1711.06475."""

    DATASET_INFO = 'aic'
    METRIC_ARGUMENTS: ClassVar = {'use_area': False}


@DATASETS.register_module()
class TopDownOCHumanDataset(TopDownCocoDataset):
    """People who hide each other, for testing.

    "Pose2Seg: Detection Free Human Instance Segmentation", Zhang et al., 2018, arXiv:1803.10683.
    """

    DATASET_INFO = 'ochuman'


@DATASETS.register_module()
class TopDownMhpDataset(TopDownCocoDataset):
    """16 joints. "Understanding Humans in Crowded Scenes", Zhao et al., 2018, arXiv:1804.03287."""

    DATASET_INFO = 'mhp'
    METRIC_ARGUMENTS: ClassVar = {'use_area': False}


@DATASETS.register_module()
class TopDownHalpeDataset(TopDownCocoDataset):
    """136 joints of the whole body. "PaStaNet", Li et al., 2020, arXiv:2004.00945."""

    DATASET_INFO = 'halpe'


@DATASETS.register_module()
class TopDownPoseTrack18Dataset(TopDownCocoDataset):
    """Frames of videos. "PoseTrack", Andriluka et al., 2017, arXiv:1710.10000."""

    DATASET_INFO = 'posetrack18'


@DATASETS.register_module()
class TopDownH36MDataset(TopDownCocoDataset):
    """People in a studio, 17 joints. "Human3.6M", Ionescu et al., 2014."""

    DATASET_INFO = 'h36m'
    default_metrics = ('PCK', 'EPE')
    CLIPS_BOXES = False


@DATASETS.register_module()
class TopDownJhmdbDataset(TopDownCocoDataset):
    """Videos, 15 joints, coordinates from 1. "Towards Understanding Action Recognition", Jhuang et al., 2013."""

    DATASET_INFO = 'jhmdb'
    default_metrics = ({'type': 'JhmdbPCKAccuracy', 'norm_item': ('bbox', 'torso')},)
    FIRST_PIXEL = 1


@DATASETS.register_module()
class HumanArtDataset(TopDownCocoDataset):
    """People in photographs, paintings and sculptures, 17 joints.

    "Human-Art: A Versatile Human-Centric Dataset Bridging Natural and Artificial Scenes", Ju et al., 2023,
    arXiv:2303.02760.
    """

    DATASET_INFO = 'humanart'


@DATASETS.register_module()
class HumanArt21Dataset(HumanArtDataset):
    """:class:`HumanArtDataset` with fingers and toes, 21 joints."""

    DATASET_INFO = 'humanart21'

    def parts_of(self, annotation: Annotation) -> Iterable[tuple[Sequence[float], Sequence[float] | None]]:
        """All joints, and the box."""
        return [(annotation.get('keypoints_21', ()), annotation.get('bbox'))]


@DATASETS.register_module()
class ExlposeDataset(TopDownCocoDataset):
    """People in the dark, 14 joints.

    "Human Pose Estimation in Extremely Low-Light Conditions", Lee et al., 2023, arXiv:2303.15410.
    """

    DATASET_INFO = 'exlpose'
