"""Distances between coordinates, each on its own.

Shapes: n people, k joints, d coordinates.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PairLoss, PoseLoss, at_least_float32, check_pair


@LOSSES.register_module()
class L1Loss(PairLoss):
    """Mean absolute error of coordinates; arguments as :class:`~intarsia.tasks.pose.losses.pose_loss.PoseLoss`."""

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over all coordinates."""
        return F.l1_loss(output, target)


@LOSSES.register_module()
class MSELoss(PairLoss):
    """Mean squared error of coordinates; arguments as :class:`~intarsia.tasks.pose.losses.pose_loss.PoseLoss`."""

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over all coordinates."""
        return F.mse_loss(output, target)


@LOSSES.register_module()
class SmoothL1Loss(PairLoss):
    """Absolute error of coordinates, smooth below 1: squared there.

    "Fast R-CNN" (Girshick, 2015, arXiv:1504.08083). Arguments as
    :class:`~intarsia.tasks.pose.losses.pose_loss.PoseLoss`.
    """

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over all coordinates."""
        return F.smooth_l1_loss(output, target)


@LOSSES.register_module()
class SoftWeightSmoothL1Loss(PoseLoss):
    """Absolute error of coordinates, smooth below ``beta``, times weights of any size.

    Args:
        use_target_weight: Whether coordinates count as their weights say.
        supervise_empty: Whether those without weight count in what the sum is divided by.
        beta: Where the squared error ends.
        loss_weight: Factor of the result.
    """

    def __init__(
        self,
        use_target_weight: bool = False,
        supervise_empty: bool = True,
        beta: float = 1.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(use_target_weight, loss_weight)
        self.supervise_empty = supervise_empty
        self.beta = beta

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss; as :meth:`~intarsia.tasks.pose.losses.pose_loss.PairLoss.forward`."""
        check_pair(self, output, target)
        error = F.smooth_l1_loss(at_least_float32(output), target, reduction='none', beta=self.beta)
        weight = self.weight_of(target_weight, target)
        if weight is not None:
            error = error * weight
        if weight is None or self.supervise_empty:
            return self.loss_weight * error.mean()
        return self.loss_weight * error.sum() / (weight > 0).expand_as(error).sum().clamp(min=1)
