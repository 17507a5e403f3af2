"""Squared error of heat maps and offsets.

Shapes: n people, k joints, h rows, w columns.
"""

from __future__ import annotations

from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PoseLoss, at_least_float32, check_pair


@LOSSES.register_module()
class CombinedTargetMSELoss(PoseLoss):
    """Squared error of a map of where the joint may be, and, there, of the offsets to the joint in x and y.

    "The Devil is in the Details: Delving into Unbiased Data Processing for Human Pose Estimation" (Huang et al., 2020,
    arXiv:1911.07524).

    Args:
        use_target_weight: Whether joints count as their weights say.
        loss_weight: Factor of the result.
    """

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: For each joint three maps: where it may be, x offset, y offset; ``(N, 3 K, H, W)``.
            target: What they should be.
            target_weight: ``(N, K)`` or ``(N, K, 1)``.

        Returns:
            A scalar.

        Raises:
            ValueError: Weights are to be used, but there are none, or shapes do not fit; or there are not three maps
                a joint.
        """
        check_pair(self, output, target)
        if output.shape[1] % 3:
            raise ValueError(f'{type(self).__name__}: three maps a joint, but there are {output.shape[1]}')
        heat, *offsets = at_least_float32(output).unflatten(1, (-1, 3)).unbind(2)
        true_heat, *true_offsets = target.unflatten(1, (-1, 3)).unbind(2)
        weight = self.weight_of(target_weight, true_heat)
        if weight is not None:
            heat, true_heat = heat * weight, true_heat * weight
        error = (heat - true_heat) ** 2
        for offset, true_offset in zip(offsets, true_offsets, strict=True):
            error = error + (true_heat * (offset - true_offset)) ** 2
        return self.loss_weight * 0.5 * error.mean()
