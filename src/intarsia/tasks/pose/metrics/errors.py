"""How far joints are from the truth: in pixels, in units of a distance on the object, and as an area of PCK.

Shapes: n people, k joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import METRICS
from intarsia.tasks.pose.metrics.distances import keypoint_auc, keypoint_epe, keypoint_nme
from intarsia.tasks.pose.metrics.joint_metric import JointMetric, Joints, Truth


@METRICS.register_module()
class AUC(JointMetric):
    """Area under PCK over its threshold, as ``AUC``; see :func:`~intarsia.tasks.pose.metrics.distances.keypoint_auc`.

    Args:
        norm_factor: The largest threshold, in pixels.
        num_thrs: Number of thresholds.
        prefix: Stands before the name, with a slash.
    """

    def __init__(self, norm_factor: float = 30, num_thrs: int = 20, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.norm_factor, self.num_thrs = norm_factor, num_thrs

    def values(self, joints: Joints) -> dict[str, float]:
        """``AUC``, 0 ... 1."""
        return {'AUC': keypoint_auc(joints.pred, joints.true, joints.mask, self.norm_factor, self.num_thrs)}


@METRICS.register_module()
class EPE(JointMetric):
    """Mean distance in pixels, as ``EPE``.

    Args:
        prefix: Stands before the name, with a slash.
    """

    def values(self, joints: Joints) -> dict[str, float]:
        """``EPE``, in pixels."""
        return {'EPE': keypoint_epe(joints.pred, joints.true, joints.mask)}


@METRICS.register_module()
class NME(JointMetric):
    """Mean distance in units of a size of the object, as ``NME``; used for faces.

    Args:
        norm_mode: ``'keypoint_distance'``: the unit is the distance between two joints; ``'use_norm_item'``: it is a
            value of the annotation.
        norm_item: Name of that value, ``'box_size'`` or ``'bbox_size'``, the longer side of the box.
        keypoint_indices: The two joints, outer corners of the eyes for faces; data sets of faces know theirs.
        prefix: Stands before the name, with a slash.

    Raises:
        ValueError: The unit is not known.
    """

    size_names = ('unit',)

    def __init__(
        self,
        norm_mode: Literal['keypoint_distance', 'use_norm_item'] = 'keypoint_distance',
        norm_item: str | None = None,
        keypoint_indices: Sequence[int] | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix)
        self.norm_mode, self.norm_item = norm_mode, norm_item
        self.keypoint_indices = None if keypoint_indices is None else tuple(keypoint_indices)
        if norm_mode == 'use_norm_item' and not norm_item:
            raise ValueError("NME: norm_mode='use_norm_item' needs norm_item, the name of a value of the annotation")
        if norm_mode == 'keypoint_distance' and (self.keypoint_indices is None or len(self.keypoint_indices) != 2):
            raise ValueError('NME needs keypoint_indices, the two joints between which its unit is measured')

    def sizes_of(self, pred_k2: np.ndarray, truth: Truth) -> dict[str, Any]:
        """The unit of a person."""
        if self.norm_mode == 'keypoint_distance':
            first, second = self.keypoint_indices or (0, 0)
            true_k2 = np.asarray(truth['keypoints'], np.float64)
            return {'unit': float(np.linalg.norm(true_k2[first] - true_k2[second]))}
        if self.norm_item in truth:
            return {'unit': float(np.asarray(truth[self.norm_item or '']).reshape(-1)[0])}
        if self.norm_item == 'bbox_size':
            return {'unit': float(max(truth['bbox'][2:4]))}
        raise DataError(f"NME: the annotations have no '{self.norm_item}'")

    def values(self, joints: Joints) -> dict[str, float]:
        """``NME``, in units."""
        return {'NME': keypoint_nme(joints.pred, joints.true, joints.mask, joints.sizes['unit'])}
