"""Cross entropy per pixel.

Shapes: n images, c classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import Reduction, weight_reduce_loss
from intarsia.tasks.segmentation.losses.one_versus_rest import one_versus_rest
from intarsia.tasks.segmentation.losses.segmentation_loss import SegmentationLoss, valid_pixels


@LOSSES.register_module()
class CrossEntropyLoss(SegmentationLoss):
    """Cross entropy with logits, pixel by pixel.

    "Fully Convolutional Networks for Semantic Segmentation" (Long et al., 2014, arXiv:1411.4038).

    Args:
        use_sigmoid: Ask of every class whether it is there (binary cross entropy) instead of which class it is
            (softmax). A single channel asks whether the label is 1.
        use_mask: Not defined here, must be False.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. The mean divides by the number of pixels (with ``use_sigmoid``
            of scores), ignored ones included.
        class_weight: Factor per class, or a file of them. With ``use_sigmoid`` of the term of the pixel's own class.
        loss_weight: Factor of the result.
        loss_name: What the result is called in the log.
        avg_non_ignore: The mean divides by the number of pixels that are not ignored.
        avg_class_weight: The mean divides by the sum of the pixels' class weights, as PyTorch's own does.

    Raises:
        ValueError: ``use_mask`` is True.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
        avg_non_ignore: bool = False,
        avg_class_weight: bool = False,
    ) -> None:
        super().__init__(reduction, class_weight, loss_weight, loss_name)
        if use_mask:
            raise ValueError('CrossEntropyLoss: use_mask=True is for masks of single objects and not defined here')
        self.use_sigmoid = use_sigmoid
        self.avg_non_ignore = avg_non_ignore
        self.avg_class_weight = avg_class_weight

    def compute(
        self,
        pred_nchw: Tensor,
        target_nhw: Tensor,
        weight: Tensor | None,
        avg_factor: float | None,
        reduction: Reduction,
        ignore_index: int | None,
    ) -> Tensor:
        """Unreduced ``(N, H, W)``; with ``use_sigmoid`` and several channels ``(N, C, H, W)``.

        With ``use_sigmoid`` the target may also be how much each class is there, ``(N, C, H, W)`` in 0 ... 1.
        """
        divisor: Any = avg_factor
        needs_divisor = avg_factor is None and reduction == 'mean'
        if self.use_sigmoid:
            loss, valid = self._binary(pred_nchw, target_nhw, ignore_index)
            weight = valid if weight is None else weight.reshape(valid[:, :1].shape) * valid
            if needs_divisor and self.avg_non_ignore:
                divisor = (valid.sum() * (loss.numel() // valid.numel())).clamp(min=1)
            loss = weight_reduce_loss(loss, weight, reduction, divisor)
            return loss.squeeze(1) if reduction == 'none' else loss
        # F.cross_entropy takes no None
        unused = -100 if ignore_index is None else ignore_index
        loss_nhw = F.cross_entropy(pred_nchw, target_nhw, self.class_weight, reduction='none', ignore_index=unused)
        if needs_divisor:
            divisor = self._softmax_divisor(target_nhw, ignore_index)
        return weight_reduce_loss(loss_nhw, weight, reduction, divisor)

    def _binary(self, pred: Tensor, target: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor]:
        return one_versus_rest(
            pred,
            target,
            ignore_index,
            there=lambda logit: -F.logsigmoid(logit),
            absent=lambda logit: -F.logsigmoid(-logit),
            there_weight_c=self.class_weight,
        )

    def _softmax_divisor(self, target_nhw: Tensor, ignore_index: int | None) -> Tensor | None:
        """What the mean divides by, on the device; None is the number of pixels. It is 1 if nothing counts."""
        if self.class_weight is None or not self.avg_class_weight:
            return valid_pixels(target_nhw, ignore_index).sum().clamp(min=1) if self.avg_non_ignore else None
        num_classes = len(self.class_weight)
        counted_nhw = (target_nhw >= 0) & (target_nhw < num_classes)
        if self.avg_non_ignore:
            counted_nhw &= valid_pixels(target_nhw, ignore_index)
        total = (self.class_weight[target_nhw.clamp(0, num_classes - 1)] * counted_nhw).sum()
        return torch.where(total > 0, total, 1)
