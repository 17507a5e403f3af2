"""The start of a sample that is predicted, not read from a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.pose.codecs.codec import Codec, build_codec
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.transforms.convert_joints import joints_of


@TRANSFORMS.register_module()
class PersonInBox(Transform):
    """Give an image and a box what a data set gives its samples; without a box, the image as a whole.

    Args:
        codec: The codec of the model, or its node; it says how large the input is.
        image_size: Width and height of the input, where there is no codec.
        dataset_info: The joints; None if the model does not know them.

    Raises:
        ValueError: Neither ``codec`` nor ``image_size`` is given.
    """

    def __init__(
        self,
        codec: Codec | Mapping[str, Any] | None = None,
        image_size: Sequence[int] | None = None,
        dataset_info: DatasetInfo | Mapping[str, Any] | str | None = None,
    ) -> None:
        self.codec = build_codec(codec)
        size = self.codec.input_size if self.codec is not None else image_size
        if size is None:
            raise ValueError('PersonInBox needs the codec of the model, or image_size')
        self.image_size = (int(size[0]), int(size[1]))
        self.info = None if dataset_info is None else DatasetInfo.of(dataset_info)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Fill the sample; nothing is drawn."""
        count = self.info.num_keypoints if self.info is not None else 0
        joints = joints_of(self.info) if self.info is not None else {}
        height, width = results['img'].shape[:2]
        box = np.asarray(results.get('bbox', (0, 0, width, height)), np.float32)
        return {
            'image_file': '',
            'bbox_score': 1.0,
            'bbox_id': 0,
            'rotation': 0,
            'dataset': self.info.name if self.info is not None else '',
            'joints_3d': np.zeros((count, 3), np.float32),
            'joints_3d_visible': np.zeros((count, 3), np.float32),
            **results,
            'bbox': box,
            'codec': self.codec,
            'ann_info': {'num_joints': 0, 'flip_pairs': [], **joints, 'image_size': np.array(self.image_size)},
        }
