"""Losses of coordinates that care for small errors, too.

Shapes: n people, k joints, d coordinates.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PairLoss


@LOSSES.register_module()
class WingLoss(PairLoss):
    """Logarithmic for small errors, linear for great ones.

    "Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural Networks" (Feng et al., 2018,
    arXiv:1711.06753).

    Args:
        omega: Where the logarithm ends.
        epsilon: How curved it is: less is more.
        use_target_weight: Whether coordinates count as their weights say.
        loss_weight: Factor of the result.
    """

    def __init__(
        self, omega: float = 10.0, epsilon: float = 2.0, use_target_weight: bool = False, loss_weight: float = 1.0
    ) -> None:
        super().__init__(use_target_weight, loss_weight)
        self.omega, self.epsilon = omega, epsilon

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The sum over joints and coordinates, the mean over people."""
        error = (target - output).abs()
        small = self.omega * torch.log1p(error / self.epsilon)
        shift = self.omega - self.omega * math.log1p(self.omega / self.epsilon)
        return torch.where(error < self.omega, small, error - shift).flatten(1).sum(1).mean()


@LOSSES.register_module()
class SoftWingLoss(PairLoss):
    """Linear for small errors, logarithmic for great ones.

    "Structure-Coherent Deep Feature Learning for Robust Face Alignment" (Lin et al., 2021, IEEE Transactions on Image
    Processing).

    Args:
        omega1: Where the linear part ends.
        omega2: Height of the logarithm.
        epsilon: How curved it is: less is more.
        use_target_weight: Whether coordinates count as their weights say.
        loss_weight: Factor of the result.
    """

    def __init__(
        self,
        omega1: float = 2.0,
        omega2: float = 20.0,
        epsilon: float = 0.5,
        use_target_weight: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(use_target_weight, loss_weight)
        self.omega1, self.omega2, self.epsilon = omega1, omega2, epsilon

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The sum over joints and coordinates, the mean over people."""
        error = (target - output).abs()
        shift = self.omega1 - self.omega2 * math.log1p(self.omega1 / self.epsilon)
        great = self.omega2 * torch.log1p(error / self.epsilon) + shift
        return torch.where(error < self.omega1, error, great).flatten(1).sum(1).mean()
