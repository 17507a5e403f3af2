"""Clothes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from intarsia.core.registries import DATASETS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.datasets.top_down import TopDownCocoDataset


@DATASETS.register_module()
class DeepFashionDataset(TopDownCocoDataset):
    """Landmarks of clothes.

    From "Fashion Landmark Detection in the Wild", Liu et al., 2016, arXiv:1608.03049.

    Args:
        ann_file: The annotations.
        img_prefix: Folder of the images.
        data_cfg: See :class:`~intarsia.tasks.pose.datasets.pose_dataset.PoseDataset`.
        pipeline: Transform nodes or callables.
        subset: Which clothes: 8 landmarks of ``'full'`` ones, 6 of ``'upper'``, 4 of ``'lower'``.
        dataset_info: The landmarks, if not those.
        test_mode: For validation and testing.
        codec: The codec of the model, or its node.
    """

    default_metrics = ('PCK', 'AUC', 'EPE')
    CLIPS_BOXES = False

    def __init__(
        self,
        ann_file: str,
        img_prefix: str = '',
        data_cfg: Mapping[str, Any] | None = None,
        pipeline: Sequence[Mapping[str, Any]] = (),
        subset: Literal['full', 'upper', 'lower', ''] = 'full',
        dataset_info: DatasetInfo | Mapping[str, Any] | str | None = None,
        test_mode: bool = False,
        codec: Codec | Mapping[str, Any] | None = None,
    ) -> None:
        self.subset = require_choice('subset', subset, ('full', 'upper', 'lower', ''))
        info = dataset_info if dataset_info is not None else f'deepfashion_{self.subset or "full"}'
        super().__init__(ann_file, img_prefix, data_cfg, pipeline, info, test_mode, codec)


@DATASETS.register_module()
class DeepFashion2Dataset(TopDownCocoDataset):
    """Thirteen kinds of clothes, 294 landmarks of all of them.

    "DeepFashion2: A Versatile Benchmark for Detection, Pose Estimation, Segmentation and Re-Identification of Clothing
    Images", Ge et al., 2019, arXiv:1901.07973.
    """

    DATASET_INFO = 'deepfashion2'
    default_metrics = ('PCK', 'AUC', 'EPE')
