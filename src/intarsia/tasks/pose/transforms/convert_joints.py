"""Joints of one data set as those of another.

Shapes: k joints before, m after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.pose.dataset_info import DatasetInfo


@TRANSFORMS.register_module()
class KeypointConverter(Transform):
    """Number the joints anew, so that data sets with different joints train one model.

    Changes ``joints_3d`` and ``joints_3d_visible``, and ``ann_info`` where the new joints are known. Joints that the
    data set does not have are not visible: nothing is learned about them.

    Args:
        num_keypoints: How many joints there are afterwards.
        mapping: Pairs ``(old, new)`` of numbers; ``((first, second), new)`` puts the new joint halfway between two.
        dataset_info: The new joints: a name or a dict; see :class:`~intarsia.tasks.pose.dataset_info.DatasetInfo`.

    Raises:
        ValueError: A number is none of a joint's, or ``dataset_info`` has another number of joints.
    """

    def __init__(
        self,
        num_keypoints: int,
        mapping: Sequence[Any],
        dataset_info: Mapping[str, Any] | str | None = None,
    ) -> None:
        self.num_keypoints = num_keypoints
        self.mapping = mapping
        self.info = None if dataset_info is None else DatasetInfo.of(dataset_info)
        olds = [(old, old) if isinstance(old, int) else tuple(old) for old, _ in mapping]
        self._first, self._second = np.array(olds, int).reshape(-1, 2).T
        self._new = np.array([new for _, new in mapping], int)
        if self._new.size and not 0 <= self._new.min() <= self._new.max() < num_keypoints:
            raise ValueError(f'KeypointConverter maps to joints {self._new.tolist()}, but makes {num_keypoints}')
        if self.info is not None and self.info.num_keypoints != num_keypoints:
            raise ValueError(f'{self.info.name} has {self.info.num_keypoints} joints, num_keypoints is {num_keypoints}')

    def apply(self, joints_k3: Array, visible_k3: Array) -> tuple[Array, Array]:
        """Joints and visibility ``(M, 3)``."""
        joints, visible = (np.zeros((self.num_keypoints, 3), joints_k3.dtype) for _ in range(2))
        joints[self._new] = (joints_k3[self._first] + joints_k3[self._second]) * 0.5
        visible[self._new] = visible_k3[self._first] * visible_k3[self._second]
        return joints, visible

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Convert; nothing is drawn."""
        joints, visible = self.apply(results['joints_3d'], results['joints_3d_visible'])
        info = {**results['ann_info'], 'num_joints': self.num_keypoints}
        if self.info is not None:
            info |= joints_of(self.info)
        results.update(joints_3d=joints, joints_3d_visible=visible, ann_info=info)
        return results


def joints_of(info: DatasetInfo) -> dict[str, Any]:
    """What transforms want to know of the joints, as part of a sample's ``ann_info``."""
    return {
        'num_joints': info.num_keypoints,
        'flip_pairs': info.flip_pairs,
        'flip_index': list(info.flip_index),
        'upper_body_ids': list(info.upper_body_ids),
        'lower_body_ids': list(info.lower_body_ids),
        'joint_weights': np.array(info.joint_weights, np.float32)[:, None],
        'skeleton': [list(link) for link in info.skeleton],
    }
