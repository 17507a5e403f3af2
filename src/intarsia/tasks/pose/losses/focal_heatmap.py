"""Cross entropy of heat maps in which nearly all pixels are background.

Shapes: n images, k joints, h rows, w columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.keypoint_mse import KeypointMSELoss
from intarsia.tasks.pose.losses.pose_loss import at_least_float32, check_pair


@LOSSES.register_module()
class FocalHeatmapLoss(KeypointMSELoss):
    """Cross entropy in which easy pixels count less, and those near a joint are hardly background.

    "CornerNet: Detecting Objects as Paired Keypoints" (Law and Deng, 2018, arXiv:1808.01244).

    Args:
        alpha: How much less a pixel counts the better its probability is.
        beta: How much less a pixel is background the higher its target is.
        use_target_weight: Means nothing: weights count wherever they are given.
        skip_empty_channel: Leave out maps whose target is 0 everywhere.
        loss_weight: Factor of the result.
    """

    def __init__(
        self,
        alpha: float = 2,
        beta: float = 4,
        use_target_weight: bool = False,
        skip_empty_channel: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(use_target_weight, skip_empty_channel, loss_weight)
        self.alpha, self.beta = alpha, beta

    def forward(
        self, output: Tensor, target: Tensor, target_weight: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: Probabilities ``(N, K, H, W)``, neither 0 nor 1.
            target: 1 at the joints, and less around them.
            target_weight: ``(N, K)``, ``(N, K, 1)`` or for each pixel.
            mask: Which pixels count, ``(N, 1, H, W)`` or ``(N, K, H, W)``.

        Returns:
            A scalar: the sum over pixels, over the number of joints.

        Raises:
            ValueError: Shapes do not fit.
        """
        check_pair(self, output, target)
        output = at_least_float32(output)
        is_joint, is_less = (target == 1).to(output.dtype), (target < 1).to(output.dtype)
        weight = self.pixel_weight(target, target_weight, mask)
        if weight is not None:
            is_joint, is_less = is_joint * weight, is_less * weight
        there = torch.log(output) * (1 - output) ** self.alpha * is_joint
        not_there = torch.log(1 - output) * output**self.alpha * (1 - target) ** self.beta * is_less
        num_joints = is_joint.sum()
        return -self.loss_weight * (there + not_there).sum() / torch.where(num_joints == 0, 1.0, num_joints)
