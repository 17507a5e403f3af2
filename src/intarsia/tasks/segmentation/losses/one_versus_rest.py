"""Losses that ask of every class whether it is there, without a one-hot copy of the mask.

Shapes: n images, c classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from intarsia.tasks.segmentation.losses.segmentation_loss import valid_pixels

Elementwise = Callable[[Tensor], Tensor]


def one_versus_rest(
    pred_nchw: Tensor,
    target: Tensor,
    ignore_index: int | None,
    *,
    there: Elementwise,
    absent: Elementwise,
    there_weight_c: Tensor | None = None,
    absent_weight_c: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Loss per pixel and class: ``there(logit)`` for the class of the pixel, ``absent(logit)`` for all others.

    Only the labels' own logits are looked up: what a one-hot mask would multiply with zero is never computed.

    Args:
        pred_nchw: Logits. A single channel asks whether the label is 1.
        target: Class indices ``(N, H, W)``, or how much each class is there, ``(N, C, H, W)`` in 0 ... 1.
        ignore_index: Pixels with this label do not count, nor do negative ones.
        there: Loss of a logit whose class is there.
        absent: Loss of a logit whose class is not there. Must not keep its result for the backward pass.
        there_weight_c: Factor per class of ``there``.
        absent_weight_c: Factor per class of ``absent``.

    Returns:
        The loss ``(N, C, H, W)``, not yet masked; and which pixels count, bool ``(N, 1, H, W)`` or ``(N, C, H, W)``.
    """
    per_class = (-1, *[1] * (pred_nchw.dim() - 2))
    loss_absent = absent(pred_nchw)
    if absent_weight_c is not None:
        loss_absent = loss_absent * absent_weight_c.reshape(per_class)
    target = target if target.shape == pred_nchw.shape else target.unsqueeze(1)
    valid = valid_pixels(target, ignore_index) & (target >= 0)
    label = torch.where(valid, target, 0)
    if target.shape == pred_nchw.shape:
        loss_there = there(pred_nchw)
        if there_weight_c is not None:
            loss_there = loss_there * there_weight_c.reshape(per_class)
        return torch.lerp(loss_absent, loss_there, label.to(pred_nchw.dtype)), valid
    loss_there = there(pred_nchw.gather(1, label))
    if there_weight_c is not None:
        loss_there = loss_there * there_weight_c[label]
    return loss_absent.scatter_(1, label, loss_there), valid
