"""Cityscapes."""

from __future__ import annotations

from typing import Any

from intarsia.core.registries import DATASETS
from intarsia.tasks.segmentation.datasets.custom import CustomDataset


@DATASETS.register_module()
class CityscapesDataset(CustomDataset):
    """Streets of 50 cities, 19 classes.

    From "The Cityscapes Dataset for Semantic Urban Scene Understanding", Cordts et al., 2016, arXiv:1604.01685. Masks
    are the ``*_gtFine_labelTrainIds.png`` that the authors' ``cityscapesscripts`` make. Arguments as
    :class:`CustomDataset`.
    """

    CLASSES = (
        'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign', 'vegetation',
        'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle',
    )  # fmt: skip
    PALETTE = (
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0),
        (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    )  # fmt: skip

    def __init__(
        self, img_suffix: str = '_leftImg8bit.png', seg_map_suffix: str = '_gtFine_labelTrainIds.png', **kwargs: Any
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class DarkZurichDataset(CityscapesDataset):
    """Streets of Zurich at night, with the classes of Cityscapes.

    From "Guided Curriculum Model Adaptation and Uncertainty-Aware Evaluation for Semantic Nighttime Image
    Segmentation", Sakaridis et al., 2019, arXiv:1901.05946.
    """

    def __init__(
        self, img_suffix: str = '_rgb_anon.png', seg_map_suffix: str = '_gt_labelTrainIds.png', **kwargs: Any
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class NightDrivingDataset(CityscapesDataset):
    """50 streets at night, with the classes of Cityscapes.

    From "Dark Model Adaptation: Semantic Image Segmentation from Daytime to Nighttime", Dai and Van Gool, 2018,
    arXiv:1810.02575.
    """

    def __init__(
        self,
        img_suffix: str = '_leftImg8bit.png',
        seg_map_suffix: str = '_gtCoarse_labelTrainIds.png',
        **kwargs: Any,
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
