"""How far joints are off, and how wrong the lengths of bones are.

Shapes: n people, k joints, d coordinates, b bones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PoseLoss, at_least_float32, check_pair


@LOSSES.register_module()
class MPJPELoss(PoseLoss):
    """Mean distance between joints and where they should be: the mean per joint position error.

    "Human3.6M: Large Scale Datasets and Predictive Methods for 3D Human Sensing in Natural Environments" (Ionescu et
    al., 2014, IEEE Transactions on Pattern Analysis and Machine Intelligence). Arguments as
    :class:`~intarsia.tasks.pose.losses.pose_loss.PoseLoss`.
    """

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss of joints ``(N, K, D)``, weights ``(N, K)``, ``(N, K, 1)`` or ``(N, K, D)``."""
        check_pair(self, output, target)
        offset_nkd, weight = at_least_float32(output) - target, self.weight_of(target_weight, target)
        if weight is not None:
            offset_nkd = offset_nkd * weight
        return self.loss_weight * torch.linalg.vector_norm(offset_nkd, dim=-1).mean()


@LOSSES.register_module()
class BoneLoss(PoseLoss):
    """Difference between mean lengths of bones, which can be known of people whose pose is not.

    "3D human pose estimation in video with temporal convolutions and semi-supervised training" (Pavllo et al., 2019,
    arXiv:1811.11742).

    Args:
        joint_parents: For every joint, the one at the other end of its bone; the joint itself for the root.
        use_target_weight: Whether bones count as their weights say.
        loss_weight: Factor of the result.
    """

    def __init__(self, joint_parents: Sequence[int], use_target_weight: bool = False, loss_weight: float = 1.0) -> None:
        super().__init__(use_target_weight, loss_weight)
        self.joint_parents = tuple(joint_parents)
        self.bones = [(joint, parent) for joint, parent in enumerate(joint_parents) if joint != parent]

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss of joints ``(N, K, D)``; weights ``(N, B)``, a bone for every joint but the roots."""
        length_nb, true_length_nb = self._lengths(at_least_float32(output)), self._lengths(target)
        weight = self.weight_of(target_weight, true_length_nb)
        if weight is not None:
            length_nb, true_length_nb = length_nb * weight, true_length_nb * weight
        return self.loss_weight * (length_nb.mean(0) - true_length_nb.mean(0)).abs().mean()

    def _lengths(self, joints_nkd: Tensor) -> Tensor:
        ends, starts = zip(*self.bones, strict=True)
        return torch.linalg.vector_norm(joints_nkd[:, ends] - joints_nkd[:, starts], dim=-1)
