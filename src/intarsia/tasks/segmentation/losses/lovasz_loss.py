"""Lovasz loss: the intersection over union itself, made continuous.

Shapes: n images, c classes, h rows, w columns, p pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import Reduction, weight_reduce_loss
from intarsia.tasks.segmentation.losses.segmentation_loss import SegmentationLoss, valid_pixels

SORTED_AT_ONCE = 2**24
"""So many errors of several classes are sorted together; more would only take memory."""


@torch.no_grad()
def lovasz_slopes(error_cp: Tensor, is_object_cp: Tensor) -> Tensor:
    """How much each error changes the Jaccard loss of its class, if errors are taken from the greatest down.

    With G pixels of the object, of which L come after a pixel, and U that are object or come no later, that is 1 / U
    for a pixel of the object and L / (U (U - 1)) for another: the steps of ``1 - intersection / union``.

    Args:
        error_cp: Errors, each row on its own.
        is_object_cp: Which pixels belong to the object of the row, bool.

    Returns:
        ``(C, P)``, without gradient: between changes of order, which have no weight, it is constant.
    """
    order_cp = error_cp.argsort(dim=1, descending=True)
    hit_cp = is_object_cp.gather(1, order_cp)
    found_cp = hit_cp.cumsum(dim=1, dtype=torch.int32)
    rank_p = torch.arange(1, error_cp.shape[1] + 1, dtype=torch.int32, device=error_cp.device)
    left_cp = (found_cp[:, -1:] - found_cp).to(error_cp.dtype)
    union_cp = (found_cp[:, -1:] + rank_p - found_cp).to(error_cp.dtype)
    # 0 / 0 is the first pixel of a class that is not there: the union grows from 0 to 1, and the loss with it
    other_cp = (left_cp / (union_cp * (union_cp - 1))).nan_to_num_(nan=1.0)
    slope_cp = torch.where(hit_cp, 1 / union_cp, other_cp)
    return torch.empty_like(slope_cp).scatter_(1, order_cp, slope_cp)


@LOSSES.register_module()
class LovaszLoss(SegmentationLoss):
    """The Lovasz extension of one minus the intersection over union.

    "The Lovasz-Softmax loss: A tractable surrogate for the optimization of the intersection-over-union measure in
    neural networks" (Berman et al., 2017, arXiv:1705.08790).

    Args:
        loss_type: ``'multi_class'`` (softmax), or ``'binary'`` (hinge) for a single channel with labels 0 and 1.
        classes: The classes that count: ``'present'`` takes those in the mask, ``'all'`` all, or their indices.
        per_image: One loss for each image instead of one for the batch.
        reduction: Of the losses of the images, with ``per_image``: ``'none'``, ``'mean'`` or ``'sum'``.
        class_weight: Factor per class, or a file of them.
        loss_weight: Factor of the result.
        loss_name: What the result is called in the log.

    Raises:
        ValueError: ``loss_type`` or ``classes`` is unknown.
    """

    def __init__(
        self,
        loss_type: Literal['multi_class', 'binary'] = 'multi_class',
        classes: str | Sequence[int] = 'present',
        per_image: bool = False,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_lovasz',
    ) -> None:
        super().__init__(reduction, class_weight, loss_weight, loss_name)
        if loss_type not in ('multi_class', 'binary'):
            raise ValueError(f"LovaszLoss: loss_type must be 'multi_class' or 'binary', not {loss_type!r}")
        if isinstance(classes, str) and classes not in ('present', 'all'):
            raise ValueError(f"LovaszLoss: classes must be 'present', 'all' or indices, not {classes!r}")
        self.loss_type = loss_type
        self.classes = classes
        self.per_image = per_image

    def compute(
        self,
        pred_nchw: Tensor,
        target_nhw: Tensor,
        weight: Tensor | None,
        avg_factor: float | None,
        reduction: Reduction,
        ignore_index: int | None,
    ) -> Tensor:
        """A scalar, or with ``per_image`` unreduced ``(N,)``."""
        is_binary = self.loss_type == 'binary'
        if is_binary != (pred_nchw.shape[1] == 1):
            raise ValueError(f'LovaszLoss: loss_type={self.loss_type!r} does not fit {pred_nchw.shape[1]} channels')
        score_nchw = pred_nchw if is_binary else pred_nchw.softmax(dim=1)
        one = self._hinge if is_binary else self._softmax
        valid_nhw = valid_pixels(target_nhw, ignore_index)
        if not self.per_image:
            return one(score_nchw.transpose(0, 1)[:, valid_nhw], target_nhw[valid_nhw])
        batch = zip(score_nchw, target_nhw, valid_nhw, strict=True)
        loss_n = torch.stack([one(score_chw[:, valid], target[valid]) for score_chw, target, valid in batch])
        return weight_reduce_loss(loss_n, None, reduction, avg_factor)

    def _hinge(self, logit_cp: Tensor, label_p: Tensor) -> Tensor:
        is_object_cp = (label_p == 1).unsqueeze(0)
        error_cp = 1 - torch.where(is_object_cp, logit_cp, -logit_cp)
        if not error_cp.numel():
            return logit_cp.sum()
        return (error_cp.relu() * lovasz_slopes(error_cp, is_object_cp)).sum()

    def _softmax(self, prob_cp: Tensor, label_p: Tensor) -> Tensor:
        index_c = self._counted(label_p, len(prob_cp))
        if not len(index_c) or not len(label_p):
            return prob_cp.sum() * 0
        prob_cp = prob_cp[index_c]
        at_once = max(1, SORTED_AT_ONCE // len(label_p))
        loss_c = torch.cat(
            [self._of_classes(prob, label_p == index[:, None]) for prob, index in
             zip(prob_cp.split(at_once), index_c.split(at_once), strict=True)]
        )  # fmt: skip
        return (loss_c if self.class_weight is None else loss_c * self.class_weight[index_c]).mean()

    def _of_classes(self, prob_cp: Tensor, is_object_cp: Tensor) -> Tensor:
        error_cp = torch.where(is_object_cp, 1 - prob_cp, prob_cp)
        return (error_cp * lovasz_slopes(error_cp, is_object_cp)).sum(dim=1)

    def _counted(self, label_p: Tensor, num_classes: int) -> Tensor:
        """Indices of the classes that count, int64."""
        if self.classes == 'present':
            present = torch.bincount(label_p, minlength=num_classes)[:num_classes]
            return present.nonzero().squeeze(1)
        indices = range(num_classes) if self.classes == 'all' else self.classes
        return torch.tensor(list(indices), device=label_p.device, dtype=torch.int64)
