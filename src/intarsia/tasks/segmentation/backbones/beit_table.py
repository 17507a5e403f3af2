"""Interpolation of the table of position biases of BEiT."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

NUM_OF_CLASS_TOKEN = 3
"""Rows at the end of the table that stand for relations of the class token."""


def resize_table(table_lh: Tensor, patch_shape: tuple[int, int]) -> Tensor:
    """The bias table of one square grid of patches for another.

    Distances near 0 stay apart and far ones are drawn together: the old distances are laid out in a geometric sequence
    that ends where the new ones end, and a bicubic spline through them is read at the new ones.

    Args:
        table_lh: ``((2 * old - 1) ** 2 + 3, heads)``.
        patch_shape: Rows and columns of the new grid.

    Returns:
        ``((2 * new - 1) ** 2 + 3, heads)``; ``table_lh`` itself if that is its size.

    Raises:
        ValueError: The new grid is not square.
    """
    rows, columns = patch_shape
    if rows != columns:
        raise ValueError(f'a table of position biases can be interpolated to square grids only, not {patch_shape}')
    side, old_side = 2 * rows - 1, round((len(table_lh) - NUM_OF_CLASS_TOKEN) ** 0.5)
    if side == old_side:
        return table_lh
    old = geometric_distances(old_side // 2, side // 2)
    new = np.arange(-(side // 2), side // 2 + 1, dtype=np.float64)
    weight = spline_weights(old, np.clip(new, old[0], old[-1]))
    grid_yxh = table_lh[:-NUM_OF_CLASS_TOKEN].double().cpu().numpy().reshape(old_side, old_side, -1)
    resized_yxh = np.einsum('ya,xb,abh->yxh', weight, weight, grid_yxh)
    resized_lh = torch.from_numpy(resized_yxh.reshape(side * side, -1)).to(table_lh)
    return torch.cat((resized_lh, table_lh[-NUM_OF_CLASS_TOKEN:]))


def geometric_distances(num_old: int, num_new: int) -> np.ndarray:
    """Distances -d(num_old) ... 0 ... d(num_old), each step longer by one factor, that reach about ``num_new``."""
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        factor = (low + high) / 2
        if (1 - factor**num_old) / (1 - factor) > num_new:
            high = factor
        else:
            low = factor
    distances = np.cumsum(factor ** np.arange(num_old))
    return np.concatenate((-distances[::-1], [0.0], distances))


def spline_weights(knots_m: np.ndarray, points_k: np.ndarray) -> np.ndarray:
    """How much each value counts, ``(K, M)``, in a cubic spline through values at M knots, read at K points.

    The spline is the one whose third derivative does not jump at the second knots from both ends.
    """
    num, step = len(knots_m), np.diff(knots_m)
    # The second derivatives s at the knots solve left @ s = right @ values.
    left, right = np.zeros((num, num)), np.zeros((num, num))
    for i in range(1, num - 1):
        left[i, i - 1 : i + 2] = step[i - 1] / 6, (step[i - 1] + step[i]) / 3, step[i] / 6
        right[i, i - 1 : i + 2] = 1 / step[i - 1], -1 / step[i - 1] - 1 / step[i], 1 / step[i]
    for row, i in ((0, 1), (num - 1, num - 2)):
        left[row, i - 1 : i + 2] = -1 / step[i - 1], 1 / step[i - 1] + 1 / step[i], -1 / step[i]
    bend = np.linalg.solve(left, right)
    place = np.clip(np.searchsorted(knots_m, points_k, side='right') - 1, 0, num - 2)
    width = step[place]
    after = ((points_k - knots_m[place]) / width)[:, None]
    before, scale, eye = 1 - after, (width**2 / 6)[:, None], np.eye(num)
    bent = (before**3 - before) * bend[place] + (after**3 - after) * bend[place + 1]
    return before * eye[place] + after * eye[place + 1] + scale * bent
