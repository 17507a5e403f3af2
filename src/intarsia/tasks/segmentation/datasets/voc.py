"""Pascal VOC."""

from __future__ import annotations

from typing import Any

from intarsia.core.registries import DATASETS
from intarsia.tasks.segmentation.datasets.custom import CustomDataset


@DATASETS.register_module()
class PascalVOCDataset(CustomDataset):
    """Objects in photographs, 20 classes and the background.

    From "The Pascal Visual Object Classes (VOC) Challenge", Everingham et al., 2010. The further masks of "Semantic
    Contours from Inverse Detectors", Hariharan et al., 2011, join in with ``ann_dir=['SegmentationClass',
    'SegmentationClassAug']`` and a list of two files as ``split``. Arguments as :class:`CustomDataset`.
    """

    CLASSES = (
        'background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
        'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor',
    )  # fmt: skip
    PALETTE = (
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
        (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128), (64, 128, 128),
        (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
    )  # fmt: skip

    def __init__(self, img_suffix: str = '.jpg', seg_map_suffix: str = '.png', **kwargs: Any) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
