"""Animals."""

from __future__ import annotations

from typing import ClassVar

from intarsia.core.registries import DATASETS
from intarsia.tasks.pose.datasets.top_down import TopDownCocoDataset


@DATASETS.register_module()
class AnimalPoseDataset(TopDownCocoDataset):
    """Dogs, cats, cows, horses and sheep, 20 joints.

    "Cross-Domain Adaptation for Animal Pose Estimation", Cao et al., 2019, arXiv:1908.05806.
    """

    DATASET_INFO = 'animalpose'


@DATASETS.register_module()
class AnimalAP10KDataset(TopDownCocoDataset):
    """54 species, 17 joints.

    "AP-10K: A Benchmark for Animal Pose Estimation in the Wild", Yu et al., 2021, arXiv:2108.12617.
    """

    DATASET_INFO = 'ap10k'


@DATASETS.register_module()
class AnimalATRWDataset(TopDownCocoDataset):
    """Amur tigers, 15 joints.

    "ATRW: A Benchmark for Amur Tiger Re-identification in the Wild", Li et al., 2019, arXiv:1906.05586.
    """

    DATASET_INFO = 'atrw'


@DATASETS.register_module()
class AnimalMacaqueDataset(TopDownCocoDataset):
    """Macaques, 17 joints. "MacaquePose: A novel 'in the wild' macaque monkey pose dataset", Labuguen et al., 2020."""

    DATASET_INFO = 'macaque'


@DATASETS.register_module()
class AnimalHorse10Dataset(TopDownCocoDataset):
    """Horses, 22 joints.

    "Pretraining boosts out-of-domain robustness for pose estimation", Mathis et al., 2019, arXiv:1909.11229.
    NME is in distances from nose to eye.
    """

    DATASET_INFO = 'horse10'
    default_metrics = ('PCK', 'NME')
    CLIPS_BOXES = False
    METRIC_ARGUMENTS: ClassVar = {'norm_mode': 'keypoint_distance', 'keypoint_indices': (0, 1)}


@DATASETS.register_module()
class AnimalFlyDataset(TopDownCocoDataset):
    """Fruit flies, 32 joints, images of 192x192.

    "Fast animal pose estimation using deep neural networks", Pereira et al., Nature Methods, 2019.
    """

    DATASET_INFO = 'fly'
    default_metrics = ('PCK', 'AUC', 'EPE')
    FIXED_BOX = (0, 0, 192, 192)


@DATASETS.register_module()
class AnimalLocustDataset(TopDownCocoDataset):
    """Locusts, 35 joints, images of 160x160.

    "DeepPoseKit, a software toolkit for fast and robust animal pose estimation using deep learning", Graving et al.,
    eLife, 2019.
    """

    DATASET_INFO = 'locust'
    default_metrics = ('PCK', 'AUC', 'EPE')
    FIXED_BOX = (0, 0, 160, 160)


@DATASETS.register_module()
class AnimalZebraDataset(TopDownCocoDataset):
    """Zebras from above, 9 joints, images of 160x160; by the authors of :class:`AnimalLocustDataset`."""

    DATASET_INFO = 'zebra'
    default_metrics = ('PCK', 'AUC', 'EPE')
    FIXED_BOX = (0, 0, 160, 160)


@DATASETS.register_module()
class AnimalKingdomDataset(TopDownCocoDataset):
    """850 species, 23 joints.

    "Animal Kingdom: A Large and Diverse Dataset for Animal Behavior Understanding", Ng et al., 2022, arXiv:2204.08129.
    """

    DATASET_INFO = 'ak'
    default_metrics = ({'type': 'PCKAccuracy', 'thr': 0.05}, 'AUC', 'EPE')
