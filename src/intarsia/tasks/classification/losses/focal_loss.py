"""Losses that turn down easy examples, class by class.

Shapes: n samples, c classes.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.targets import as_scores
from intarsia.models.losses.weighted import WeightedLoss


@LOSSES.register_module()
class FocalLoss(WeightedLoss):
    """Binary cross entropy per class, weighted by how far off the prediction is.

    "Focal Loss for Dense Object Detection" (Lin et al., 2017, arXiv:1708.02002).

    Args:
        gamma: Exponent of the distance from the right answer.
        alpha: Weight of positive classes; negative ones have 1 - alpha.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        loss_weight: Factor of the result.
    """

    target_kind = 'score'

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float = 0.25,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(reduction, loss_weight)
        self.gamma = gamma
        self.alpha = alpha

    def per_element(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss ``(N, C)`` of logits ``(N, C)`` and class indices ``(N,)`` or scores ``(N, C)``."""
        target_nc = as_scores(target, pred.shape[1], pred.dtype)
        probability = pred.sigmoid()
        distance = (1 - probability) * target_nc + probability * (1 - target_nc)
        balance = self.alpha * target_nc + (1 - self.alpha) * (1 - target_nc)
        entropy = F.binary_cross_entropy_with_logits(pred, target_nc, reduction='none')
        return balance * distance.pow(self.gamma) * entropy


@LOSSES.register_module()
class AsymmetricLoss(WeightedLoss):
    """Focal loss with its own exponent for negatives, which are ignored once they are easy enough.

    "Asymmetric Loss For Multi-Label Classification" (Ridnik et al., 2021, arXiv:2009.14119).

    Args:
        gamma_pos: Exponent for positive classes.
        gamma_neg: Exponent for negative classes.
        clip: Probability margin m: a negative with probability below m costs nothing; 0 turns it off.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        loss_weight: Factor of the result.
        use_sigmoid: Probabilities by sigmoid, else by softmax.
        eps: Least argument of the logarithm.
    """

    target_kind = 'score'

    def __init__(
        self,
        gamma_pos: float = 0.0,
        gamma_neg: float = 4.0,
        clip: float | None = 0.05,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        loss_weight: float = 1.0,
        use_sigmoid: bool = True,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(reduction, loss_weight)
        self.gamma_pos = gamma_pos
        self.gamma_neg = gamma_neg
        self.clip = clip or 0.0
        self.use_sigmoid = use_sigmoid
        self.eps = eps

    def per_element(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss ``(N, C)`` of logits ``(N, C)`` and class indices ``(N,)`` or scores ``(N, C)``."""
        target_nc = as_scores(target, pred.shape[1], pred.dtype)
        probability = pred.sigmoid() if self.use_sigmoid else pred.softmax(dim=-1)
        rejected = (1 - probability + self.clip).clamp(max=1)
        right = rejected * (1 - target_nc) + probability * target_nc
        exponent = self.gamma_pos * target_nc + self.gamma_neg * (1 - target_nc)
        return -torch.log(right.clamp(min=self.eps)) * (1 - right).pow(exponent)
