"""Focal loss: easy pixels count little.

Shapes: n images, c classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import Reduction, optional_tensor, weight_reduce_loss
from intarsia.tasks.segmentation.losses.one_versus_rest import one_versus_rest
from intarsia.tasks.segmentation.losses.segmentation_loss import SegmentationLoss


@LOSSES.register_module()
class FocalLoss(SegmentationLoss):
    """Binary cross entropy per pixel and class, weighted by how far off the prediction is.

    "Focal Loss for Dense Object Detection" (Lin et al., 2017, arXiv:1708.02002).

    Args:
        use_sigmoid: Must be True; there is only the sigmoid version.
        gamma: Exponent of the distance from the right answer.
        alpha: Weight of the pixel's own class; the others have 1 - alpha. One number, or one a class.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. The mean divides by the number of scores, N C H W.
        class_weight: Factor of the scores of each class, or a file of them.
        loss_weight: Factor of the result.
        loss_name: What the result is called in the log.

    Raises:
        ValueError: ``use_sigmoid`` is False.
    """

    alpha: Tensor

    def __init__(
        self,
        use_sigmoid: bool = True,
        gamma: float = 2.0,
        alpha: float | Sequence[float] = 0.5,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_focal',
    ) -> None:
        super().__init__(reduction, class_weight, loss_weight, loss_name)
        if not use_sigmoid:
            raise ValueError('FocalLoss: use_sigmoid=False is not defined')
        self.gamma = gamma
        self.register_buffer('alpha', optional_tensor(alpha), persistent=False)

    def compute(
        self,
        pred_nchw: Tensor,
        target_nhw: Tensor,
        weight: Tensor | None,
        avg_factor: float | None,
        reduction: Reduction,
        ignore_index: int | None,
    ) -> Tensor:
        """Unreduced ``(N, C, H, W)``. The target may also be which classes are there, 0 or 1, ``(N, C, H, W)``."""
        alpha_c = self.alpha.expand(pred_nchw.shape[1])
        loss_nchw, valid = one_versus_rest(
            pred_nchw,
            target_nhw,
            ignore_index,
            there=lambda logit: torch.sigmoid(-logit).pow(self.gamma) * -F.logsigmoid(logit),
            absent=lambda logit: torch.sigmoid(logit).pow(self.gamma) * -F.logsigmoid(-logit),
            there_weight_c=alpha_c,
            absent_weight_c=1 - alpha_c,
        )
        factor = valid if weight is None else weight.reshape(valid[:, :1].shape) * valid
        if self.class_weight is not None:
            factor = factor * self.class_weight.reshape(-1, *[1] * (pred_nchw.dim() - 2))
        return weight_reduce_loss(loss_nchw, factor, reduction, avg_factor)
