"""Share of pixels of one batch whose class is among the k best.

Shapes: n images, c classes, h rows, w columns, k best classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from intarsia.tasks.segmentation.losses.segmentation_loss import valid_pixels


@torch.no_grad()
def accuracy(
    pred: Tensor,
    target: Tensor,
    topk: int | Sequence[int] = 1,
    thresh: float | None = None,
    ignore_index: int | None = None,
) -> Any:
    """Pixel accuracy in percent. Nothing is copied from the device.

    Args:
        pred: Scores ``(N, C, H, W)``.
        target: Class indices ``(N, H, W)``.
        topk: One k or several.
        thresh: Count a prediction only if its score is above this value.
        ignore_index: Pixels with this label do not count.

    Returns:
        A tensor of shape ``(1,)``, or a list of them over ``topk``; 100 if no pixel counts, as in the older toolboxes.

    Raises:
        ValueError: A k is not in 1 ... C.
    """
    ks = [topk] if isinstance(topk, int) else list(topk)
    if min(ks) < 1 or max(ks) > pred.shape[1]:
        raise ValueError(f'topk={topk} needs values from 1 to the number of classes, which is {pred.shape[1]}')
    # a maximum is much faster than a sort
    best_nkhw, class_nkhw = pred.max(dim=1, keepdim=True) if max(ks) == 1 else pred.topk(max(ks), dim=1)
    valid_n1hw = valid_pixels(target, ignore_index).unsqueeze(1)
    hit_nkhw = (class_nkhw == target.unsqueeze(1)) & valid_n1hw
    if thresh is not None:
        hit_nkhw &= best_nkhw > thresh
    num_valid = valid_n1hw.sum().reshape(1)
    values = [torch.where(num_valid > 0, hit_nkhw[:, :k].sum() * 100.0 / num_valid, 100.0) for k in ks]
    return values[0] if isinstance(topk, int) else values
