"""Sums over the pixels of each class, for losses that rate regions instead of pixels.

Shapes: n images, c classes, h rows, w columns.
"""

from __future__ import annotations

from torch import Tensor


def sum_by_class(value_nhw: Tensor, label_nhw: Tensor, num_classes: int) -> Tensor:
    """Add up values of pixels, class by class.

    Each row of the image is added up first: in one long float32 sum a million pixels would lose their last digits.

    Args:
        value_nhw: What to add up.
        label_nhw: Class of each pixel, int64 in 0 ... ``num_classes`` - 1.
        num_classes: C.

    Returns:
        ``(N, C)``.
    """
    num, rows, _ = value_nhw.shape
    sum_nhc = value_nhw.new_zeros(num, rows, num_classes).scatter_add(2, label_nhw, value_nhw)
    return sum_nhc.sum(dim=1)


def own_probability(prob_nchw: Tensor, label_nhw: Tensor) -> Tensor:
    """The probability of each pixel's own class ``(N, H, W)``."""
    return prob_nchw.gather(1, label_nhw.unsqueeze(1)).squeeze(1)
