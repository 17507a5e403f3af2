"""Vessels in photographs of the retina."""

from __future__ import annotations

from typing import Any

from intarsia.core.registries import DATASETS
from intarsia.tasks.segmentation.datasets.custom import CustomDataset


class _Vessels(CustomDataset):
    """PNG images with two classes."""

    CLASSES = ('background', 'vessel')
    PALETTE = ((120, 120, 120), (6, 230, 230))

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png', **kwargs: Any) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class DRIVEDataset(_Vessels):
    """40 images, from "Ridge-Based Vessel Segmentation in Color Images of the Retina", Staal et al., 2004."""

    def __init__(self, seg_map_suffix: str = '_manual1.png', **kwargs: Any) -> None:
        super().__init__(seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class STAREDataset(_Vessels):
    """20 images, from "Locating Blood Vessels in Retinal Images ...", Hoover et al., 2000."""

    def __init__(self, seg_map_suffix: str = '.ah.png', **kwargs: Any) -> None:
        super().__init__(seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class ChaseDB1Dataset(_Vessels):
    """28 images of children, from "An Ensemble Classification-Based Approach ...", Fraz et al., 2012."""

    def __init__(self, seg_map_suffix: str = '_1stHO.png', **kwargs: Any) -> None:
        super().__init__(seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class HRFDataset(_Vessels):
    """45 large images, from "Robust Vessel Segmentation in Fundus Images", Budai et al., 2013."""
