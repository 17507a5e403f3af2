"""Divergences between distributions over places.

Shapes: n people, k joints, l bins, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PoseLoss, at_least_float32, check_pair

TINY = 1e-24
"""What keeps logarithms of 0 finite."""


@LOSSES.register_module()
class KLDiscretLoss(PoseLoss):
    """Kullback-Leibler divergence of a joint's columns, and of its rows, from what they should be.

    "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation" (Li et al., 2022,
    arXiv:2107.03332).

    Args:
        beta: Factor of the logits before the softmax.
        label_softmax: Whether a softmax turns targets into distributions.
        label_beta: Factor of the targets before that softmax.
        use_target_weight: Whether joints count as their weights say.
        mask: Joints that count more or less.
        mask_weight: How much they count.
    """

    def __init__(
        self,
        beta: float = 1.0,
        label_softmax: bool = False,
        label_beta: float = 10.0,
        use_target_weight: bool = True,
        mask: Sequence[int] | None = None,
        mask_weight: float = 1.0,
    ) -> None:
        super().__init__(use_target_weight)
        self.beta, self.label_softmax, self.label_beta = beta, label_softmax, label_beta
        self.mask, self.mask_weight = None if mask is None else list(mask), mask_weight

    def forward(
        self, output: Sequence[Tensor], target: Sequence[Tensor], target_weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: Logits of columns ``(N, K, Lx)``, of rows ``(N, K, Ly)``.
            target: What their distributions should be.
            target_weight: ``(N, K)``.

        Returns:
            A scalar: the mean over bins and joints, the sum over people.

        Raises:
            ValueError: Shapes do not fit, or weights are to be used, but there are none.
        """
        axes = [self._of_axis(*pair) for pair in zip(output, target, strict=True)]
        loss_nk = torch.stack(axes).sum(0)
        weight = self.weight_of(target_weight, loss_nk)
        if weight is not None:
            loss_nk = loss_nk * weight
        if self.mask is not None:
            factor_k = loss_nk.new_ones(loss_nk.shape[1])
            factor_k[self.mask] = self.mask_weight
            loss_nk = loss_nk * factor_k
        return loss_nk.sum() / loss_nk.shape[1]

    def _of_axis(self, logit_nkl: Tensor, target_nkl: Tensor) -> Tensor:
        check_pair(self, logit_nkl, target_nkl)
        log_prob_nkl = (at_least_float32(logit_nkl) * self.beta).log_softmax(-1)
        if self.label_softmax:
            target_nkl = (target_nkl * self.label_beta).softmax(-1)
        return (torch.xlogy(target_nkl, target_nkl) - target_nkl * log_prob_nkl).mean(-1)


@LOSSES.register_module()
class JSDiscretLoss(PoseLoss):
    """Jensen-Shannon divergence of heat maps that are distributions.

    "Numerical Coordinate Regression with Convolutional Neural Networks" (Nibali et al., 2018, arXiv:1801.07372).

    Args:
        use_target_weight: Whether joints count as their weights say.
        size_average: Take the mean over people, not the sum.
    """

    def __init__(self, use_target_weight: bool = True, size_average: bool = True) -> None:
        super().__init__(use_target_weight)
        self.size_average = size_average

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: Probabilities ``(N, K, H, W)``.
            target: What they should be.
            target_weight: ``(N, K)`` or ``(N, K, 1)``.

        Returns:
            A scalar: the sum over pixels and joints.

        Raises:
            ValueError: Shapes do not fit, or weights are to be used, but there are none.
        """
        check_pair(self, output, target)
        output, weight = at_least_float32(output), self.weight_of(target_weight, target)
        if weight is not None:
            output, target = output * weight, target * weight
        log_mean = torch.log(0.5 * (output + target) + TINY)
        # the gradient of x log x is infinite at 0, where a softmax may get to
        own = output * (output.clamp(min=TINY).log() - log_mean)
        other = torch.xlogy(target, target) - target * log_mean
        return 0.5 * (own + other).sum() / (len(output) if self.size_average else 1)
