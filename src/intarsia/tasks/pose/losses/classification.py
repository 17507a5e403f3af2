"""Losses of yes-or-no questions: whether a joint is visible, a person there.

Shapes: n samples, k questions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import Reduction, weight_reduce_loss
from intarsia.tasks.pose.losses.pose_loss import PoseLoss, at_least_float32, check_pair

POSITIVE = 1e-4
"""Targets above this are positive."""
LOGIT_LIMIT = 10.0


class QuestionLoss(PoseLoss):
    """Base of losses of answers ``(N, K)``; a subclass implements :meth:`criterion`."""

    def __init__(
        self, use_target_weight: bool = False, loss_weight: float = 1.0, reduction: Reduction = 'mean'
    ) -> None:
        super().__init__(use_target_weight, loss_weight)
        self.reduction = reduction

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of each answer."""
        raise NotImplementedError(f'{type(self).__name__} has no criterion')

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: Answers ``(N, K)``.
            target: What they should be, 0 ... 1.
            target_weight: ``(N,)`` or ``(N, K)``.

        Returns:
            A scalar, or the elements if the reduction is ``'none'``.

        Raises:
            ValueError: Shapes do not fit, or weights are to be used, but there are none; or the reduction is unknown.
        """
        check_pair(self, output, target)
        loss = self.criterion(at_least_float32(output), at_least_float32(target))
        return self.loss_weight * weight_reduce_loss(loss, self.weight_of(target_weight, target), self.reduction)


@LOSSES.register_module()
class BCELoss(QuestionLoss):
    """Binary cross entropy.

    Args:
        use_target_weight: Whether answers count as their weights say.
        loss_weight: Factor of the result.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        use_sigmoid: The network has taken the sigmoid: outputs are probabilities. If False they are logits.
    """

    def __init__(
        self,
        use_target_weight: bool = False,
        loss_weight: float = 1.0,
        reduction: Reduction = 'mean',
        use_sigmoid: bool = True,
    ) -> None:
        super().__init__(use_target_weight, loss_weight, reduction)
        self.use_sigmoid = use_sigmoid

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The cross entropy of each answer."""
        if self.use_sigmoid:
            return F.binary_cross_entropy(output, target, reduction='none')
        return F.binary_cross_entropy_with_logits(output, target, reduction='none')


@LOSSES.register_module()
class VariFocalLoss(QuestionLoss):
    """Cross entropy that counts positives by how good they are, and negatives by how wrong the answer is.

    "VarifocalNet: An IoU-aware Dense Object Detector" (Zhang et al., 2021, arXiv:2008.13367).

    Args:
        use_target_weight: Whether answers count as their weights say.
        loss_weight: Factor of the result.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        alpha: Factor of negatives.
        gamma: How much less a negative counts the smaller the answer is.
    """

    def __init__(
        self,
        use_target_weight: bool = False,
        loss_weight: float = 1.0,
        reduction: Reduction = 'mean',
        alpha: float = 0.75,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(use_target_weight, loss_weight, reduction)
        self.alpha, self.gamma = alpha, gamma

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of each logit; answers beyond :data:`LOGIT_LIMIT` are as good as certain."""
        factor = target + self.alpha * output.sigmoid() ** self.gamma * (target <= POSITIVE)
        limited = output.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        return F.binary_cross_entropy_with_logits(limited, target, reduction='none') * factor
