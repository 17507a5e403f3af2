"""Where maps and vectors have their peaks.

Shapes: n people, k joints, maps of height h and width w, vectors of length l; coordinates are x, y.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

NOWHERE = -1.0
"""Both coordinates of a joint whose map has no value above 0."""


def get_heatmap_maximum(heatmap_nkhw: Tensor) -> tuple[Tensor, Tensor]:
    """The greatest value of each map and its pixel; of several the first, line by line.

    Args:
        heatmap_nkhw: Maps ``(..., H, W)``.

    Returns:
        Coordinates ``(..., 2)``, float32, and values ``(...)``.
    """
    score, index = heatmap_nkhw.flatten(-2).max(-1)
    width = heatmap_nkhw.shape[-1]
    return _where_positive(torch.stack([index % width, index // width], -1), score), score


def get_simcc_maximum(x_nkl: Tensor, y_nkl: Tensor, apply_softmax: bool = False) -> tuple[Tensor, Tensor]:
    """The greatest value of each pair of vectors and its bins.

    Args:
        x_nkl: For each joint a value for every column, ``(..., Lx)``.
        y_nkl: The same for every line, ``(..., Ly)``.
        apply_softmax: The vectors are logits: turn them into probabilities first.

    Returns:
        Bins ``(..., 2)``, float32, and the smaller one of both greatest values, ``(...)``.
    """
    if apply_softmax:
        x_nkl, y_nkl = x_nkl.softmax(-1), y_nkl.softmax(-1)
    (score_x, x), (score_y, y) = x_nkl.max(-1), y_nkl.max(-1)
    score = torch.minimum(score_x, score_y)
    return _where_positive(torch.stack([x, y], -1), score), score


def _where_positive(xy: Tensor, score: Tensor) -> Tensor:
    return torch.where(score[..., None] > 0, xy.float(), NOWHERE)


def get_simcc_normalized(vector_nkl: Tensor, sigma: float | None = None) -> Tensor:
    """Vectors of targets that integrate to one, as heights from 0 to 1.

    Args:
        vector_nkl: Vectors.
        sigma: Standard deviation of the targets; None if the vectors are heights already.

    Returns:
        The vectors without negative values, and scaled to a height of 1 where they are higher.
    """
    if sigma is not None:
        vector_nkl = vector_nkl / (sigma * (2 * torch.pi) ** 0.5)
    vector_nkl = vector_nkl.clamp(min=0)
    return vector_nkl / vector_nkl.amax(-1, keepdim=True).clamp(min=1)


def batch_heatmap_nms(heatmap_nkhw: Tensor, kernel_size: int = 5) -> Tensor:
    """Maps in which only the pixels are left that are the greatest of their neighbourhood; the others are 0.

    Raises:
        ValueError: The kernel size is even: then no pixel is the middle of its neighbourhood.
    """
    if kernel_size % 2 == 0:
        raise ValueError(f'the kernel size of a non-maximum suppression is odd, not {kernel_size}')
    greatest = F.max_pool2d(heatmap_nkhw, kernel_size, stride=1, padding=kernel_size // 2)
    return heatmap_nkhw * (heatmap_nkhw == greatest)
