"""Pascal Context."""

from __future__ import annotations

from typing import Any

from intarsia.core.registries import DATASETS
from intarsia.tasks.segmentation.datasets.ade20k import ADE20KDataset
from intarsia.tasks.segmentation.datasets.custom import CustomDataset


@DATASETS.register_module()
class PascalContextDataset(CustomDataset):
    """All that is in the photographs of Pascal VOC 2010, 59 classes and the background.

    From "The Role of Context for Object Detection and Semantic Segmentation in the Wild", Mottaghi et al., 2014.
    Arguments as :class:`CustomDataset`.
    """

    CLASSES = (
        'background', 'aeroplane', 'bag', 'bed', 'bedclothes', 'bench', 'bicycle', 'bird', 'boat', 'book', 'bottle',
        'building', 'bus', 'cabinet', 'car', 'cat', 'ceiling', 'chair', 'cloth', 'computer', 'cow', 'cup', 'curtain',
        'dog', 'door', 'fence', 'floor', 'flower', 'food', 'grass', 'ground', 'horse', 'keyboard', 'light',
        'motorbike', 'mountain', 'mouse', 'person', 'plate', 'platform', 'pottedplant', 'road', 'rock', 'sheep',
        'shelves', 'sidewalk', 'sign', 'sky', 'snow', 'sofa', 'table', 'track', 'train', 'tree', 'truck', 'tvmonitor',
        'wall', 'water', 'window', 'wood',
    )  # fmt: skip
    PALETTE = ADE20KDataset.PALETTE[:60]

    def __init__(self, img_suffix: str = '.jpg', seg_map_suffix: str = '.png', **kwargs: Any) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class PascalContextDataset59(CustomDataset):
    """The same without the background: label 0 of the masks is ignored.

    Arguments as :class:`CustomDataset`.
    """

    NUM_CLASSES = 59
    CLASSES = PascalContextDataset.CLASSES[1:]
    PALETTE = PascalContextDataset.PALETTE[1:]

    def __init__(
        self, img_suffix: str = '.jpg', seg_map_suffix: str = '.png', reduce_zero_label: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(
            img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label, **kwargs
        )
