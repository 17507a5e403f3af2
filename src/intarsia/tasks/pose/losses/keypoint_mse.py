"""Mean squared error of heat maps.

Shapes: n people, k joints, h rows, w columns.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PoseLoss, at_least_float32, check_pair, fit_weight


@LOSSES.register_module()
class JointsMSELoss(PoseLoss):
    """Squared error of heat maps, times the weights of their joints; the mean over all pixels.

    Args:
        use_target_weight: Whether joints count as their weights say.
        loss_weight: Factor of the result.
    """

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: Heat maps ``(N, K, H, W)``.
            target: What they should be.
            target_weight: ``(N, K)`` or ``(N, K, 1)``, or for each pixel.

        Returns:
            A scalar.

        Raises:
            ValueError: Weights are to be used, but there are none, or shapes do not fit.
        """
        check_pair(self, output, target)
        return self.loss_weight * weighted_mse(output, target, self.weight_of(target_weight, target))


@LOSSES.register_module()
class KeypointMSELoss(PoseLoss):
    """Squared error of heat maps, times weights of joints and pixels; the mean over all pixels.

    Args:
        use_target_weight: Means nothing: weights count wherever they are given, as they always did in configs with
            this name. :class:`JointsMSELoss` asks.
        skip_empty_channel: Leave out maps whose target is 0 everywhere.
        loss_weight: Factor of the result.
    """

    def __init__(
        self, use_target_weight: bool = False, skip_empty_channel: bool = False, loss_weight: float = 1.0
    ) -> None:
        super().__init__(use_target_weight, loss_weight)
        self.skip_empty_channel = skip_empty_channel

    def forward(
        self, output: Tensor, target: Tensor, target_weight: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: Heat maps ``(N, K, H, W)``.
            target: What they should be.
            target_weight: ``(N, K)``, ``(N, K, 1)`` or for each pixel ``(N, K, H, W)``.
            mask: Which pixels count, ``(N, 1, H, W)`` or ``(N, K, H, W)``.

        Returns:
            A scalar.

        Raises:
            ValueError: Shapes do not fit.
        """
        check_pair(self, output, target)
        return self.loss_weight * weighted_mse(output, target, self.pixel_weight(target, target_weight, mask))

    def pixel_weight(self, target: Tensor, target_weight: Tensor | None, mask: Tensor | None) -> Tensor | None:
        """The product of all weights, with as many dimensions as the target; None if there is none."""
        factors = [fit_weight(each, target) for each in (mask, target_weight) if each is not None]
        if self.skip_empty_channel:
            factors.append((target != 0).any(-1, keepdim=True).any(-2, keepdim=True))
        weight = None
        for factor in factors:
            weight = factor if weight is None else weight * factor
        return weight


def weighted_mse(output: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of weighted squared errors."""
    output = at_least_float32(output)
    if weight is None:
        return F.mse_loss(output, target)
    return (F.mse_loss(output, target, reduction='none') * weight).mean()
