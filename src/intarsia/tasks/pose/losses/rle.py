"""Likelihood of coordinates under errors whose distribution is learned.

Shapes: n people, k joints.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PoseLoss, at_least_float32
from intarsia.tasks.pose.losses.real_nvp import RealNVP


@LOSSES.register_module()
class RLELoss(PoseLoss):
    """Negative logarithm of how likely the true joints are, given coordinates and deviations.

    "Human Pose Regression with Residual Log-likelihood Estimation" (Li et al., 2021, arXiv:2107.11291).

    Args:
        use_target_weight: Whether coordinates count as their weights say.
        size_average: Take the mean over people, not the sum.
        residual: The learned distribution only has to say by how much errors are not distributed as ``q_dis`` says.
        q_dis: ``'laplace'`` or ``'gaussian'``.

    Raises:
        ValueError: The distribution is unknown.
    """

    def __init__(
        self,
        use_target_weight: bool = False,
        size_average: bool = True,
        residual: bool = True,
        q_dis: Literal['laplace', 'gaussian'] = 'laplace',
    ) -> None:
        super().__init__(use_target_weight)
        if q_dis not in ('laplace', 'gaussian'):
            raise ValueError(f"{type(self).__name__}: q_dis is 'laplace' or 'gaussian', not {q_dis!r}")
        self.size_average, self.residual, self.q_dis = size_average, residual, q_dis
        self.flow_model = RealNVP()

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: x, y and the logits of their deviations, ``(N, K, 4)``.
            target: x and y, ``(N, K, 2)``.
            target_weight: ``(N, K)``, ``(N, K, 1)`` or ``(N, K, 2)``.

        Returns:
            A scalar.

        Raises:
            ValueError: Shapes do not fit, or weights are to be used, but there are none.
        """
        if output.shape[-1] != 4 or target.shape != (*output.shape[:-1], 2):
            raise ValueError(
                f'{type(self).__name__}: outputs {tuple(output.shape)} and targets {tuple(target.shape)}; it takes '
                '(N, K, 4) and (N, K, 2): has the head out_sigma=True?'
            )
        output = at_least_float32(output)
        sigma_nk2 = output[..., 2:].sigmoid()
        error_nk2 = (output[..., :2] - target) / (sigma_nk2 + 1e-9)
        density_nk1 = self.flow_model.log_prob(error_nk2.reshape(-1, 2)).reshape(*target.shape[:-1], 1)
        loss_nk2 = torch.log(sigma_nk2) - density_nk1
        if self.residual:
            loss_nk2 = loss_nk2 + self._residual(error_nk2, sigma_nk2)
        weight = self.weight_of(target_weight, target)
        if weight is not None:
            loss_nk2 = loss_nk2 * weight
        return loss_nk2.sum() / (len(loss_nk2) if self.size_average else 1)

    def _residual(self, error_nk2: Tensor, sigma_nk2: Tensor) -> Tensor:
        if self.q_dis == 'laplace':
            return torch.log(2 * sigma_nk2) + error_nk2.abs()
        return torch.log(sigma_nk2 * math.sqrt(2 * math.pi)) + 0.5 * error_nk2**2
