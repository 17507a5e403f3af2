"""Likelihood of a place whose column and row are classified.

Shapes: n people, k joints, l bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PoseLoss, at_least_float32

FLOOR = 1e-4
"""What keeps the logarithm of 0 finite."""


@LOSSES.register_module()
class MLECCLoss(PoseLoss):
    """How unlikely the true place of a joint is, given distributions of its column and row.

    "RTMO: Towards High-Performance One-Stage Real-Time Multi-Person Pose Estimation" (Lu et al., 2023,
    arXiv:2312.07526): maximum likelihood estimation for coordinate classification.

    Args:
        reduction: What happens to the joints of a person: ``'none'``, ``'mean'`` or ``'sum'``.
        mode: Of a probability p: ``'log'`` is -log p, ``'linear'`` 1 - p, ``'square'`` 1 - p^2.
        use_target_weight: Whether joints count as their weights say.
        loss_weight: Factor of the result.

    Raises:
        ValueError: The reduction or the mode is unknown.
    """

    def __init__(
        self,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        mode: Literal['linear', 'square', 'log'] = 'log',
        use_target_weight: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(use_target_weight, loss_weight)
        if reduction not in ('none', 'mean', 'sum'):
            raise ValueError(f"MLECCLoss: reduction is 'none', 'mean' or 'sum', not {reduction!r}")
        if mode not in ('linear', 'square', 'log'):
            raise ValueError(f"MLECCLoss: mode is 'linear', 'square' or 'log', not {mode!r}")
        self.reduction, self.mode = reduction, mode

    def forward(
        self, output: Sequence[Tensor], target: Sequence[Tensor], target_weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: Probabilities of columns ``(N, K, Lx)``, of rows ``(N, K, Ly)``.
            target: How likely the joint is to be seen in a bin, where it truly is.
            target_weight: ``(N, K)``.

        Returns:
            ``(N,)``, or ``(N, K)`` if the reduction is ``'none'``.
        """
        axes = [(at_least_float32(p) * true).sum(-1) for p, true in zip(output, target, strict=True)]
        prob_nk = torch.stack(axes).prod(0)
        if self.mode == 'log':
            loss_nk = -torch.log(prob_nk + FLOOR)
        else:
            loss_nk = 1 - (prob_nk if self.mode == 'linear' else prob_nk**2)
        weight = self.weight_of(target_weight, loss_nk)
        loss_nk = loss_nk if weight is None else loss_nk * weight
        if self.reduction != 'none':
            loss_nk = loss_nk.sum(1) if self.reduction == 'sum' else loss_nk.mean(1)
        return self.loss_weight * loss_nk
