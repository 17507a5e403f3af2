"""Tversky loss: a Dice loss that tells false alarms from misses.

Shapes: n images, c classes, h rows, w columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import Reduction
from intarsia.tasks.segmentation.losses.dice_loss import mean_over_classes
from intarsia.tasks.segmentation.losses.region_sums import own_probability, sum_by_class
from intarsia.tasks.segmentation.losses.segmentation_loss import SegmentationLoss, valid_pixels


@LOSSES.register_module()
class TverskyLoss(SegmentationLoss):
    """One minus ``TP / (TP + alpha FP + beta FN)`` of each class; then the mean.

    "Tversky loss function for image segmentation using 3D fully convolutional deep networks" (Salehi et al., 2017,
    arXiv:1706.05721).

    Args:
        smooth: Added above and below the fraction.
        class_weight: Factor per class, or a file of them.
        loss_weight: Factor of the result.
        ignore_index: Pixels with this label do not count; None takes that of the head. A class of this index is left
            out of the sum, but not of the C it is divided by.
        alpha: Weight of false positives.
        beta: Weight of false negatives; ``alpha + beta`` is 1.
        loss_name: What the result is called in the log.

    Raises:
        ValueError: ``alpha + beta`` is not 1.
    """

    def __init__(
        self,
        smooth: float = 1.0,
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        ignore_index: int | None = None,
        alpha: float = 0.3,
        beta: float = 0.7,
        loss_name: str = 'loss_tversky',
    ) -> None:
        super().__init__('mean', class_weight, loss_weight, loss_name)
        if not math.isclose(alpha + beta, 1.0):
            raise ValueError(f'TverskyLoss: alpha + beta must be 1, not {alpha} + {beta}')
        self.smooth = smooth
        self.ignore_index = ignore_index
        self.alpha = alpha
        self.beta = beta

    def compute(
        self,
        pred_nchw: Tensor,
        target_nhw: Tensor,
        weight: Tensor | None,
        avg_factor: float | None,
        reduction: Reduction,
        ignore_index: int | None,
    ) -> Tensor:
        """A scalar, the mean over images and classes; there is nothing to weight or reduce."""
        ignore_index = ignore_index if self.ignore_index is None else self.ignore_index
        num_classes = pred_nchw.shape[1]
        prob_nchw = pred_nchw.softmax(dim=1)
        label_nhw = target_nhw.clamp(0, num_classes - 1)
        valid_nhw = valid_pixels(target_nhw, ignore_index).to(prob_nchw.dtype)
        hit_nc = sum_by_class(own_probability(prob_nchw, label_nhw) * valid_nhw, label_nhw, num_classes)
        predicted_nc = (prob_nchw * valid_nhw.unsqueeze(1)).sum(dim=(2, 3))
        area_nc = sum_by_class(valid_nhw, label_nhw, num_classes)
        size_nc = hit_nc + self.alpha * (predicted_nc - hit_nc) + self.beta * (area_nc - hit_nc)
        loss_c = (1 - (hit_nc + self.smooth) / (size_nc + self.smooth)).mean(dim=0)
        return mean_over_classes(loss_c, self.class_weight, ignore_index)
