"""A loss of heat maps that cares more for the joint than for what is around it.

Shapes: n people, k joints, h rows, w columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PairLoss


@LOSSES.register_module()
class AdaptiveWingLoss(PairLoss):
    """Logarithmic for small errors where the target is high, squared where it is low; linear for great errors.

    "Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression" (Wang et al., 2019, arXiv:1904.07399).

    Args:
        alpha: Exponent where the target is 0; where it is 1, one less.
        omega: Height of the logarithm.
        epsilon: How curved it is: less is more.
        theta: Where the logarithm ends.
        use_target_weight: Whether joints count as their weights say.
        loss_weight: Factor of the result.
    """

    def __init__(
        self,
        alpha: float = 2.1,
        omega: float = 14.0,
        epsilon: float = 1.0,
        theta: float = 0.5,
        use_target_weight: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(use_target_weight, loss_weight)
        self.alpha, self.omega, self.epsilon, self.theta = alpha, omega, epsilon, theta

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over all pixels."""
        error, power = (target - output).abs(), self.alpha - target
        ratio = self.theta / self.epsilon
        at_theta = ratio**power
        slope = self.omega / (1 + at_theta) * power * ratio ** (power - 1) / self.epsilon
        height = self.omega * torch.log1p(at_theta)
        small = self.omega * torch.log1p((error / self.epsilon) ** power)
        return torch.where(error < self.theta, small, height + slope * (error - self.theta)).mean()
