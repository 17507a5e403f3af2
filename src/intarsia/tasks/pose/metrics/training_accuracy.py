"""Accuracy during training, counted on the device without waiting for it.

Shapes: n people, k joints, h rows, w columns, l labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia.tasks.pose.codecs.peaks import get_heatmap_maximum


@torch.no_grad()
def pose_pck_accuracy(
    output_nkhw: Tensor, target_nkhw: Tensor, mask_nk: Tensor, thr: float = 0.05
) -> tuple[Tensor, Tensor, Tensor]:
    """Part of joints whose greatest pixel is near that of the target, within a part of the map's size.

    Args:
        output_nkhw: Heat maps.
        target_nkhw: What they should be.
        mask_nk: Which joints count.
        thr: Distance that is just too far, in units of the height for x and of the width for y.

    Returns:
        The part for each joint ``(K,)``, -1 for one that nobody has; the mean over the others, 0 without any; and their
        number.
    """
    height, width = output_nkhw.shape[-2:]
    found, true = get_heatmap_maximum(output_nkhw)[0], get_heatmap_maximum(target_nkhw)[0]
    unit_2 = torch.tensor([height, width], dtype=found.dtype, device=found.device)
    return near_parts(((found - true) / unit_2).norm(dim=-1), mask_nk, thr)


def near_parts(distance_nk: Tensor, mask_nk: Tensor, thr: float) -> tuple[Tensor, Tensor, Tensor]:
    """Part of the distances that are below ``thr``, joint by joint, and as :func:`pose_pck_accuracy`."""
    count_k = mask_nk.sum(0)
    near_k = ((distance_nk < thr) & mask_nk).sum(0)
    has_k = count_k > 0
    part_k = torch.where(has_k, near_k / count_k.clamp(min=1), -1.0)
    mean = torch.where(has_k, part_k, 0.0).sum() / has_k.sum().clamp(min=1)
    return part_k, mean, has_k.sum()


@torch.no_grad()
def simcc_pck_accuracy(
    output: tuple[Tensor, Tensor],
    target: tuple[Tensor, Tensor],
    split_ratio: float,
    mask_nk: Tensor,
    thr: float = 0.05,
) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`pose_pck_accuracy`, of distributions over x ``(N, K, Lx)`` and y ``(N, K, Ly)``.

    Args:
        output: What was found.
        target: What it should be.
        split_ratio: Bins in a pixel of the input.
        mask_nk: Which joints count.
        thr: Distance that is just too far, in units of the input's height for x and of its width for y.
    """
    found, true = (torch.stack([axis.argmax(-1) for axis in both], -1) / split_ratio for both in (output, target))
    size = [int(axis.shape[-1] / split_ratio) for axis in reversed(output)]
    unit_2 = torch.tensor(size, dtype=found.dtype, device=found.device)
    return near_parts(((found - true) / unit_2).norm(dim=-1), mask_nk, thr)


@torch.no_grad()
def multilabel_classification_accuracy(
    output_nl: Tensor, target_nl: Tensor, mask_n: Tensor, thr: float = 0.5
) -> Tensor:
    """Part of samples all of whose labels are right.

    Args:
        output_nl: Probabilities.
        target_nl: What they should be, 0 or 1.
        mask_n: Which samples count, ``(N,)``; or which labels are known, ``(N, 1)`` or ``(N, L)``: samples of which one
            is not do not count.
        thr: Probability from which on the answer is yes.

    Returns:
        A scalar, 0 ... 1; 0 if no sample counts.
    """
    counts_n = (mask_n > 0).reshape(len(mask_n), -1).all(1)
    right_n = (((output_nl - thr) * (target_nl - thr)) > 0).all(1)
    return (right_n & counts_n).sum() / counts_n.sum().clamp(min=1)
