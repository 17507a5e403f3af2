"""Dice loss, class by class or over all classes jointly.

Shapes: n images, c classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import Reduction, weight_reduce_loss
from intarsia.tasks.segmentation.losses.region_sums import own_probability, sum_by_class
from intarsia.tasks.segmentation.losses.segmentation_loss import SegmentationLoss, valid_pixels


@LOSSES.register_module()
class DiceLoss(SegmentationLoss):
    """One minus the overlap of prediction and mask, ``2 sum(p t) / sum(p^2 + t^2)``, of each class; then the mean.

    "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation" (Milletari et al., 2016,
    arXiv:1606.04797).

    As in the older toolbox, ignored pixels are left out of the overlap only: below the fraction their probabilities
    stay, and they stand there as pixels of the last class.

    Args:
        smooth: Added above and below the fraction, so that a class that is not there has one.
        exponent: Of the probabilities below the fraction.
        reduction: Has nothing to do: the loss is one number.
        class_weight: Factor per class, or a file of them.
        loss_weight: Factor of the result.
        ignore_index: Pixels with this label are ignored; None takes that of the head. A class of this index is left
            out of the sum, but not of the C it is divided by.
        loss_name: What the result is called in the log.
    """

    def __init__(
        self,
        smooth: float = 1.0,
        exponent: float = 2,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        ignore_index: int | None = None,
        loss_name: str = 'loss_dice',
    ) -> None:
        super().__init__(reduction, class_weight, loss_weight, loss_name)
        self.smooth = smooth
        self.exponent = exponent
        self.ignore_index = ignore_index

    def compute(
        self,
        pred_nchw: Tensor,
        target_nhw: Tensor,
        weight: Tensor | None,
        avg_factor: float | None,
        reduction: Reduction,
        ignore_index: int | None,
    ) -> Tensor:
        """A scalar, the mean over images and classes."""
        ignore_index = ignore_index if self.ignore_index is None else self.ignore_index
        num_classes = pred_nchw.shape[1]
        prob_nchw = pred_nchw.softmax(dim=1)
        label_nhw = target_nhw.clamp(0, num_classes - 1)
        overlap_nhw = own_probability(prob_nchw, label_nhw) * valid_pixels(target_nhw, ignore_index)
        overlap_nc = sum_by_class(overlap_nhw, label_nhw, num_classes)
        area_nc = sum_by_class(torch.ones_like(overlap_nhw), label_nhw, num_classes)
        size_nc = prob_nchw.pow(self.exponent).sum(dim=(2, 3)) + area_nc
        loss_c = (1 - (2 * overlap_nc + self.smooth) / (size_nc + self.smooth)).mean(dim=0)
        return weight_reduce_loss(
            mean_over_classes(loss_c, self.class_weight, ignore_index), None, reduction, avg_factor
        )


@LOSSES.register_module()
class JointDiceLoss(SegmentationLoss):
    """One minus the overlap of prediction and mask in one fraction over all pixels and classes of an image.

    The Dice loss of the newer toolbox generation (see :class:`DiceLoss` for the paper). Ignored pixels belong to no
    class; their probabilities stay below the fraction.

    Args:
        use_sigmoid: Probabilities by sigmoid, else by softmax (of a single channel: the logits as they are).
        activate: False says that the predictions are probabilities already.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``, over the images.
        naive_dice: ``2 sum(p t) / (sum(p) + sum(t))`` instead of ``2 sum(p t) / (sum(p^2) + sum(t^2))``.
        loss_weight: Factor of the result.
        ignore_index: Pixels with this label belong to no class, and a class of this index is left out; None takes
            that of the head.
        eps: Added above and below the naive fraction; to each of the two sums below the other.
        loss_name: What the result is called in the log.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        activate: bool = True,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        naive_dice: bool = False,
        loss_weight: float = 1.0,
        ignore_index: int | None = None,
        eps: float = 1e-3,
        loss_name: str = 'loss_dice',
    ) -> None:
        super().__init__(reduction, None, loss_weight, loss_name)
        self.use_sigmoid = use_sigmoid
        self.activate = activate
        self.naive_dice = naive_dice
        self.ignore_index = ignore_index
        self.eps = eps

    def probabilities(self, pred_nchw: Tensor) -> Tensor:
        """Probabilities ``(N, C, H, W)`` of what the head predicts."""
        if not self.activate:
            return pred_nchw
        if self.use_sigmoid:
            return pred_nchw.sigmoid()
        return pred_nchw.softmax(dim=1) if pred_nchw.shape[1] > 1 else pred_nchw

    def compute(
        self,
        pred_nchw: Tensor,
        target_nhw: Tensor,
        weight: Tensor | None,
        avg_factor: float | None,
        reduction: Reduction,
        ignore_index: int | None,
    ) -> Tensor:
        """Unreduced ``(N,)``. The weight is a factor per image ``(N,)``; weights of pixels are not used."""
        ignore_index = ignore_index if self.ignore_index is None else self.ignore_index
        prob_nchw = self.probabilities(pred_nchw)
        num_classes = prob_nchw.shape[1]
        if num_classes == 1:  # the only channel is class 1, of which there is no channel 0
            target_nhw = torch.where(target_nhw == 1, 0, num_classes)
        elif ignore_index is not None and 0 <= ignore_index < num_classes:
            prob_nchw = prob_nchw * (torch.arange(num_classes, device=prob_nchw.device) != ignore_index)[:, None, None]
        is_class_nhw = valid_pixels(target_nhw, ignore_index) & (target_nhw < num_classes)
        own_nhw = own_probability(prob_nchw, target_nhw.clamp(0, num_classes - 1))
        overlap_n = (own_nhw * is_class_nhw).sum(dim=(1, 2))
        area_n = is_class_nhw.sum(dim=(1, 2))
        if self.naive_dice:
            loss_n = 1 - (2 * overlap_n + self.eps) / (prob_nchw.sum(dim=(1, 2, 3)) + area_n + self.eps)
        else:
            loss_n = 1 - 2 * overlap_n / (prob_nchw.square().sum(dim=(1, 2, 3)) + area_n + 2 * self.eps)
        per_image = weight if weight is not None and weight.dim() == 1 else None
        return weight_reduce_loss(loss_n, per_image, reduction, avg_factor)


def mean_over_classes(loss_c: Tensor, class_weight_c: Tensor | None, ignore_index: int | None) -> Tensor:
    """The mean over C of the losses of the classes, weighted; a class ``ignore_index`` counts as 0."""
    if class_weight_c is not None:
        loss_c = loss_c * class_weight_c
    if ignore_index is not None and 0 <= ignore_index < len(loss_c):
        return (loss_c.sum() - loss_c[ignore_index]) / len(loss_c)
    return loss_c.mean()
