"""Losses of queries and their masks.

Shape suffixes: m masks, l pixels or points, k classes and none.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import LOSSES

EPS = torch.finfo(torch.float32).eps
"""Added to what a sum is divided by."""


@LOSSES.register_module(name='mmdet.CrossEntropyLoss')
class QueryCrossEntropyLoss(nn.Module):
    """Cross entropy of classes, or binary cross entropy of pixels, divided by a number that the head knows.

    Args:
        use_sigmoid: Whether it is binary.
        use_mask: Must be False.
        reduction: Must be ``'mean'``.
        class_weight: Factor per class, the last that of none.
        ignore_index: Must be None.
        loss_weight: Factor of the result.
        avg_non_ignore: Of no account.

    Raises:
        ValueError: An argument is another.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        reduction: str = 'mean',
        class_weight: Sequence[float] | None = None,
        ignore_index: int | None = None,
        loss_weight: float = 1.0,
        avg_non_ignore: bool = False,
    ) -> None:
        super().__init__()
        if use_mask or reduction != 'mean' or ignore_index is not None:
            raise ValueError(
                "mmdet.CrossEntropyLoss of queries: use_mask must be False, reduction 'mean' and ignore_index None"
            )
        self.use_sigmoid, self.class_weight, self.loss_weight = use_sigmoid, class_weight, loss_weight

    def forward(self, pred: Tensor, target: Tensor, avg_factor: Tensor | float) -> Tensor:
        """The weighted sum divided by ``avg_factor``, of logits ``(M, K)`` and labels ``(M,)``, or of both ``(L,)``."""
        pred = pred.float()
        if self.use_sigmoid:
            total = F.binary_cross_entropy_with_logits(pred, target.float(), reduction='sum')
        else:
            weight_k = None if self.class_weight is None else pred.new_tensor(self.class_weight)
            total = F.cross_entropy(pred, target, weight_k, reduction='sum')
        return self.loss_weight * total / (avg_factor + EPS)


@LOSSES.register_module(name='mmdet.FocalLoss')
class QueryFocalLoss(nn.Module):
    """Binary cross entropy in which pixels that are right already count less.

    "Focal Loss for Dense Object Detection" (Lin et al., 2017, arXiv:1708.02002).

    Args:
        use_sigmoid: Must be True.
        gamma: Power of how wrong a pixel is.
        alpha: Weight of what is inside.
        reduction: Must be ``'mean'``.
        loss_weight: Factor of the result.
        activated: Must be False.

    Raises:
        ValueError: An argument is another.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        gamma: float = 2.0,
        alpha: float = 0.25,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        activated: bool = False,
    ) -> None:
        super().__init__()
        if not use_sigmoid or reduction != 'mean' or activated:
            raise ValueError(
                "mmdet.FocalLoss of queries: use_sigmoid must be True, reduction 'mean' and activated False"
            )
        self.gamma, self.alpha, self.loss_weight = gamma, alpha, loss_weight

    def forward(self, pred: Tensor, target: Tensor, avg_factor: Tensor | float) -> Tensor:
        """The sum divided by ``avg_factor``, of logits and 0 or 1, both ``(L,)``."""
        pred, target = pred.float(), target.float()
        probability = pred.sigmoid()
        wrong = (1 - probability) * target + probability * (1 - target)
        weight = (self.alpha * target + (1 - self.alpha) * (1 - target)) * wrong.pow(self.gamma)
        total = (F.binary_cross_entropy_with_logits(pred, target, reduction='none') * weight).sum()
        return self.loss_weight * total / (avg_factor + EPS)


@LOSSES.register_module(name='mmdet.DiceLoss')
class QueryDiceLoss(nn.Module):
    """How little masks overlap.

    "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation" (Milletari et al., 2016,
    arXiv:1606.04797).

    Args:
        use_sigmoid: Must be True where ``activate`` is.
        activate: Whether masks are logits.
        reduction: Must be ``'mean'``.
        naive_dice: Divide by sums, not by sums of squares.
        loss_weight: Factor of the result.
        eps: Added to the quotient.

    Raises:
        ValueError: An argument is another.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        activate: bool = True,
        reduction: str = 'mean',
        naive_dice: bool = False,
        loss_weight: float = 1.0,
        eps: float = 1e-3,
    ) -> None:
        super().__init__()
        if (activate and not use_sigmoid) or reduction != 'mean':
            raise ValueError("mmdet.DiceLoss of queries: use_sigmoid must be True, and reduction 'mean'")
        self.activate, self.naive_dice, self.loss_weight, self.eps = activate, naive_dice, loss_weight, eps

    def forward(self, pred: Tensor, target: Tensor, avg_factor: Tensor | float) -> Tensor:
        """The sum over masks divided by ``avg_factor``, of masks ``(M, ...)`` and 0 or 1 of that shape."""
        pred_ml, target_ml = pred.flatten(1).float(), target.flatten(1).float()
        pred_ml = pred_ml.sigmoid() if self.activate else pred_ml
        both_m = (pred_ml * target_ml).sum(1)
        if self.naive_dice:
            overlap_m = (2 * both_m + self.eps) / (pred_ml.sum(1) + target_ml.sum(1) + self.eps)
        else:
            overlap_m = 2 * both_m / (pred_ml.square().sum(1) + target_ml.square().sum(1) + 2 * self.eps)
        return self.loss_weight * (1 - overlap_m).sum() / (avg_factor + EPS)
