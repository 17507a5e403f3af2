"""Percentage of correct keypoints: how many joints are near enough.

Shapes: n people, k joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import METRICS
from intarsia.tasks.pose.metrics.distances import keypoint_pck_accuracy, normalized_distances, pck_of
from intarsia.tasks.pose.metrics.joint_metric import JointMetric, Joints, Truth

NAMES = {'bbox': 'PCK', 'head': 'PCKh', 'torso': 'tPCK'}
"""What is divided by, and what the result is called."""
TORSO = (4, 5)
"""Joints of JHMDB between which the torso is measured."""
MPII_PARTS = {
    'Head': (9,), 'Shoulder': (13, 12), 'Elbow': (14, 11), 'Wrist': (15, 10), 'Hip': (3, 2), 'Knee': (4, 1),
    'Ankle': (5, 0),
}  # fmt: skip
"""Joints of MPII, left and right, by what is reported of them."""
MPII_LEFT_OUT = (6, 7)
"""Pelvis and thorax of MPII, which do not count in the mean."""
JHMDB_PARTS = {
    'Head': (2,), 'Sho': (3, 4), 'Elb': (7, 8), 'Wri': (11, 12), 'Hip': (5, 6), 'Knee': (9, 10), 'Ank': (13, 14),
}  # fmt: skip


@METRICS.register_module()
class PCKAccuracy(JointMetric):
    """Part of the joints that are nearer to the truth than a part of a size of the person.

    "Articulated Human Detection with Flexible Mixtures of Parts" (Yang and Ramanan, 2013). The mean over joints of the
    part for each, 0 ... 1.

    Args:
        thr: The part of the size that is just too far.
        norm_item: What the size is, one or several: ``'bbox'``, the longer side of the box (reported as ``PCK``),
            ``'head'``, the ``head_size`` of the annotation (``PCKh``), ``'torso'``, from hip to shoulder (``tPCK``).
        prefix: Stands before the names, with a slash.

    Raises:
        ValueError: A size is none of these.
    """

    def __init__(self, thr: float = 0.05, norm_item: str | Sequence[str] = 'bbox', prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.thr = thr
        self.size_names = (norm_item,) if isinstance(norm_item, str) else tuple(norm_item)
        for item in self.size_names:
            if item not in NAMES:
                raise ValueError(f'norm_item is {", ".join(map(repr, NAMES))} or several of them, not {item!r}')

    def sizes_of(self, pred_k2: np.ndarray, truth: Truth) -> dict[str, Any]:
        """The sizes that joints' distances are divided by."""
        return {item: self._size(item, pred_k2, truth) for item in self.size_names}

    def _size(self, item: str, pred_k2: np.ndarray, truth: Truth) -> float:
        if item == 'torso':
            size = _torso(np.asarray(truth['keypoints'], np.float64))
            return size if size >= 1 else _torso(pred_k2)
        if item == 'head':
            if 'head_size' not in truth:
                raise DataError('PCKh needs the size of the head, which the annotations do not have')
            return float(np.asarray(truth['head_size']).reshape(-1)[0])
        return float(max(truth['bbox'][2:4]))

    def values(self, joints: Joints) -> dict[str, float]:
        """``PCK``, ``PCKh`` or ``tPCK``."""
        return {
            NAMES[item]: keypoint_pck_accuracy(joints.pred, joints.true, joints.mask, self.thr, size_n2)[1]
            for item, size_n2 in joints.sizes.items()
        }


@METRICS.register_module()
class MpiiPCKAccuracy(PCKAccuracy):
    """PCKh by the protocol of MPII: in percent, weighted by how often a joint is there.

    "2D Human Pose Estimation: New Benchmark and State of the Art Analysis" (Andriluka et al., 2014). Reported are
    ``Head``, ``Shoulder`` ... and the means ``PCKh`` and ``PCKh@0.1``; a distance of exactly ``thr`` is right.

    Args:
        thr: The part of the head that is just right.
        norm_item: What the size is: ``'head'``; others are reported as :class:`PCKAccuracy` does.
        names: ``'1.x'`` says ``Head PCK`` and ``PCK`` for ``Head`` and ``PCKh``.
        prefix: Stands before the names, with a slash.
    """

    def __init__(
        self,
        thr: float = 0.5,
        norm_item: str | Sequence[str] = 'head',
        names: Literal['0.x', '1.x'] = '0.x',
        prefix: str | None = None,
    ) -> None:
        super().__init__(thr, norm_item, prefix)
        self.names = names

    def values(self, joints: Joints) -> dict[str, float]:
        """Percentages of parts of the body, and of all."""
        others = joints._replace(sizes={k: v for k, v in joints.sizes.items() if k != 'head'})
        values = super().values(others)
        if 'head' not in joints.sizes:
            return values
        distance_nk = normalized_distances(joints.pred, joints.true, joints.mask, joints.sizes['head'])
        count_k = (~np.isnan(distance_nk)).sum(0)
        with np.errstate(invalid='ignore'):
            right_k = 100.0 * (distance_nk <= self.thr).sum(0) / count_k
            strict_k = 100.0 * (distance_nk <= 0.1).sum(0) / count_k
        weight_k = count_k.astype(np.float64)
        weight_k[list(MPII_LEFT_OUT)] = 0
        weight_k /= max(weight_k.sum(), 1)
        part, mean = (' PCK', 'PCK') if self.names == '1.x' else ('', 'PCKh')
        parts = {f'{name}{part}': float(np.mean(right_k[list(ids)])) for name, ids in MPII_PARTS.items()}
        means = {mean: right_k, f'{mean}@0.1': strict_k}
        return {**values, **parts, **{name: float(np.nansum(v * weight_k)) for name, v in means.items()}}


@METRICS.register_module()
class JhmdbPCKAccuracy(PCKAccuracy):
    """PCK by parts of the body, as for JHMDB: ``Head PCK``, ``Sho PCK`` ... and ``Mean PCK``, with ``t`` for the torso.

    "Towards Understanding Action Recognition" (Jhuang et al., 2013).

    Args:
        thr: The part of the size that is just too far.
        norm_item: What the size is: ``'bbox'``, ``'torso'`` or both.
        names: ``'1.x'`` says ``PCK`` for ``Mean PCK``.
        prefix: Stands before the names, with a slash.
    """

    def __init__(
        self,
        thr: float = 0.2,
        norm_item: str | Sequence[str] = 'bbox',
        names: Literal['0.x', '1.x'] = '0.x',
        prefix: str | None = None,
    ) -> None:
        super().__init__(thr, norm_item, prefix)
        self.names = names

    def values(self, joints: Joints) -> dict[str, float]:
        """Parts 0 ... 1 of the body's parts, and their mean."""
        values: dict[str, float] = {}
        for item, size_n2 in joints.sizes.items():
            distance_nk = normalized_distances(joints.pred, joints.true, joints.mask, size_n2)
            part_k, mean, _ = pck_of(distance_nk, self.thr)
            name = NAMES[item].removesuffix('PCK')
            values |= {f'{part} {name}PCK': float(np.mean(part_k[list(i)])) for part, i in JHMDB_PARTS.items()}
            values[f'{name}PCK' if self.names == '1.x' else f'Mean {name}PCK'] = mean
        return values


def _torso(joints_k2: np.ndarray) -> float:
    return float(np.linalg.norm(joints_k2[TORSO[0]] - joints_k2[TORSO[1]]))
