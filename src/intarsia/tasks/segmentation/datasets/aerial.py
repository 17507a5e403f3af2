"""Land seen from above."""

from __future__ import annotations

from typing import Any

from intarsia.core.registries import DATASETS
from intarsia.tasks.segmentation.datasets.custom import CustomDataset


class _LabelledFromOne(CustomDataset):
    """PNG images whose masks have 0 where nobody labelled."""

    def __init__(
        self,
        img_suffix: str = '.png',
        seg_map_suffix: str = '.png',
        reduce_zero_label: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label, **kwargs
        )


@DATASETS.register_module()
class LoveDADataset(_LabelledFromOne):
    """Towns and villages of China, 7 classes.

    From "LoveDA: A Remote Sensing Land-Cover Dataset for Domain Adaptive Semantic Segmentation", Wang et al., 2021,
    arXiv:2110.08733. Label 0 of the masks is ignored. Arguments as :class:`CustomDataset
    <intarsia.tasks.segmentation.datasets.custom.CustomDataset>`.
    """

    CLASSES = ('background', 'building', 'road', 'water', 'barren', 'forest', 'agricultural')
    PALETTE = (
        (255, 255, 255), (255, 0, 0), (255, 255, 0), (0, 0, 255), (159, 129, 183), (0, 255, 0), (255, 195, 128),
    )  # fmt: skip


@DATASETS.register_module()
class PotsdamDataset(_LabelledFromOne):
    """Aerial photographs of Potsdam, 6 classes.

    The "2D Semantic Labeling Contest" of ISPRS, cut into tiles. Label 0 of the masks is ignored. Arguments as
    :class:`CustomDataset <intarsia.tasks.segmentation.datasets.custom.CustomDataset>`.
    """

    CLASSES = ('impervious_surface', 'building', 'low_vegetation', 'tree', 'car', 'clutter')
    PALETTE = ((255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))


@DATASETS.register_module()
class ISPRSDataset(PotsdamDataset):
    """Aerial photographs of Vaihingen, with the 6 classes of :class:`PotsdamDataset`."""


@DATASETS.register_module()
class iSAIDDataset(CustomDataset):  # noqa: N801
    """Objects in aerial photographs, 15 classes and the background.

    From "iSAID: A Large-scale Dataset for Instance Segmentation in Aerial Images", Waqas Zamir et al., 2019,
    arXiv:1905.12886. Arguments as :class:`CustomDataset
    <intarsia.tasks.segmentation.datasets.custom.CustomDataset>`.
    """

    CLASSES = (
        'background', 'ship', 'store_tank', 'baseball_diamond', 'tennis_court', 'basketball_court',
        'Ground_Track_Field', 'Bridge', 'Large_Vehicle', 'Small_Vehicle', 'Helicopter', 'Swimming_pool', 'Roundabout',
        'Soccer_ball_field', 'plane', 'Harbor',
    )  # fmt: skip
    PALETTE = (
        (0, 0, 0), (0, 0, 63), (0, 63, 63), (0, 63, 0), (0, 63, 127), (0, 63, 191), (0, 63, 255), (0, 127, 63),
        (0, 127, 127), (0, 0, 127), (0, 0, 191), (0, 0, 255), (0, 191, 127), (0, 127, 191), (0, 127, 255),
        (0, 100, 155),
    )  # fmt: skip

    def __init__(
        self, img_suffix: str = '.png', seg_map_suffix: str = '_instance_color_RGB.png', **kwargs: Any
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
