"""What the losses of a decode head have in common.

Shapes: n images, c classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from intarsia.models.losses.weighted import Reduction
from intarsia.tasks.segmentation.losses.class_weight import read_class_weight


class SegmentationLoss(nn.Module):
    """Base of losses between scores ``(N, C, H, W)`` and a mask of class indices ``(N, H, W)``.

    A subclass implements :meth:`compute`.

    Args:
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        class_weight: Factor per class, or a file of them; see
            :func:`~intarsia.tasks.segmentation.losses.class_weight.read_class_weight`.
        loss_weight: Factor of the result.
        loss_name: What the result is called in the log. Only names with ``loss`` in them are trained; the losses of a
            head with the same name are added up.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        reduction: Reduction = 'mean',
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss',
    ) -> None:
        super().__init__()
        self.reduction = self._checked(reduction)
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        self.register_buffer('class_weight', read_class_weight(class_weight), persistent=False)

    def compute(
        self,
        pred_nchw: Tensor,
        target_nhw: Tensor,
        weight: Tensor | None,
        avg_factor: float | None,
        reduction: Reduction,
        ignore_index: int | None,
    ) -> Tensor:
        """The loss before ``loss_weight``; arguments as in :meth:`forward`, made sure of."""
        raise NotImplementedError(f'{type(self).__name__} has no compute')

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: Reduction | None = None,
        ignore_index: int | None = 255,
    ) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            pred: Logits ``(N, C, H, W)``.
            target: Class indices ``(N, H, W)``, any integer type.
            weight: Factor per pixel ``(N, H, W)``. Losses of whole regions do not use it.
            avg_factor: What ``'mean'`` divides the sum by.
            reduction_override: Takes the place of ``reduction`` in this call.
            ignore_index: Pixels with this label do not count; None counts all.

        Returns:
            A scalar, or the elements if the reduction is ``'none'``.

        Raises:
            ValueError: The shapes do not fit, or there are not as many class weights as classes.
        """
        if pred.shape != target.shape and (len(pred) != len(target) or pred.shape[2:] != target.shape[1:]):
            raise ValueError(
                f'{type(self).__name__}: scores {tuple(pred.shape)} do not fit a mask {tuple(target.shape)}; '
                'it takes (N, C, H, W) and (N, H, W)'
            )
        if self.class_weight is not None and len(self.class_weight) != pred.shape[1]:
            raise ValueError(
                f'{type(self).__name__}: class_weight has {len(self.class_weight)} numbers, '
                f'but there are {pred.shape[1]} classes'
            )
        reduction = self._checked(reduction_override or self.reduction)
        pred = pred.to(torch.promote_types(pred.dtype, torch.float32))
        target = target if target.is_floating_point() else target.long()
        return self.loss_weight * self.compute(pred, target, weight, avg_factor, reduction, ignore_index)

    def _checked(self, reduction: Reduction) -> Reduction:
        if reduction not in get_args(Reduction):
            raise ValueError(f"{type(self).__name__}: reduction must be 'none', 'mean' or 'sum', not {reduction!r}")
        return reduction

    def extra_repr(self) -> str:
        """``loss_name='loss_ce', loss_weight=1.0``."""
        return f'loss_name={self.loss_name!r}, loss_weight={self.loss_weight}'


def valid_pixels(target: Tensor, ignore_index: int | None) -> Tensor:
    """Which labels count: bool, of the shape of ``target``."""
    return torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index
