"""Faces behind things."""

from __future__ import annotations

from typing import Any

from intarsia.core.registries import DATASETS
from intarsia.tasks.segmentation.datasets.custom import CustomDataset


@DATASETS.register_module()
class FaceOccludedDataset(CustomDataset):
    """Faces without what covers them, and the background.

    From "Delving into High-Quality Synthetic Face Occlusion Segmentation Datasets", Voo et al., 2022,
    arXiv:2205.06218.

    Args:
        split: A file with the names of the images, one a line.
        **kwargs: Arguments of :class:`CustomDataset <intarsia.tasks.segmentation.datasets.custom.CustomDataset>`.
    """

    CLASSES = ('background', 'face')
    PALETTE = ((0, 0, 0), (128, 0, 0))

    def __init__(self, split: str, **kwargs: Any) -> None:
        super().__init__(split=split, **kwargs)
