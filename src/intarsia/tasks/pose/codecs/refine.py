"""Finds a joint between the pixels, from the values round the peak of its map.

Shapes: n people, k joints, maps of height h and width w, vectors of length l; coordinates are x, y in pixels of the
map. Every function also takes ``(N, K, P, 2)`` for P points in each map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intarsia.tasks.pose.codecs.blur import gaussian_blur, gaussian_blur1d

FLOOR = 1e-10
"""Least value of a map whose logarithm is taken."""
UDP_RANGE = (1e-3, 50.0)
"""As :data:`FLOOR`, with a ceiling, by the rules of UDP."""
CROSS = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""Steps in x and y to the pixels at the right, at the left, below and above."""
WIDE_CROSS = ((2, 0), (-2, 0), (0, 2), (0, -2))


def values_at(map_nkhw: Tensor, xy_nk2: Tensor, steps: Sequence[tuple[int, int]] = ((0, 0),)) -> Tensor:
    """Values of maps round some pixels; beyond the border lies the last pixel again.

    Args:
        map_nkhw: Maps.
        xy_nk2: Pixels; fractions are cut off.
        steps: M steps in x and y from there.

    Returns:
        ``(M, N, K)``.
    """
    height, width = map_nkhw.shape[-2:]
    pixel = xy_nk2.long().unsqueeze(0)
    dx, dy = torch.tensor(steps, device=map_nkhw.device).T.reshape(2, -1, *[1] * (xy_nk2.ndim - 1))
    x, y = (pixel[..., 0] + dx).clamp(0, width - 1), (pixel[..., 1] + dy).clamp(0, height - 1)
    index = (y * width + x).movedim(0, -1)
    found = map_nkhw.flatten(2).gather(2, index.flatten(2))
    return found.view(index.shape).movedim(-1, 0)


def refine_keypoints(xy_nk2: Tensor, heatmap_nkhw: Tensor, rules: str = '0.x') -> Tensor:
    """A quarter of a pixel towards the greater neighbour, in x and in y (Newell et al., 2016, arXiv:1603.06937).

    Args:
        xy_nk2: Peaks.
        heatmap_nkhw: Maps.
        rules: Which peaks stay where they are: with ``'0.x'`` those near any border; with ``'1.x'`` a peak near the
            left or right border may still move in y, one near the upper or lower border in x.
    """
    right, left, below, above = values_at(heatmap_nkhw, xy_nk2, CROSS)
    x, y = xy_nk2.long().unbind(-1)
    height, width = heatmap_nkhw.shape[-2:]
    inner_x, inner_y = (x > 1) & (x < width - 1), (y > 1) & (y < height - 1)
    move_x, move_y = (inner_x & (y > 0), inner_y & (x > 0)) if rules == '1.x' else (inner_x & inner_y,) * 2
    step = torch.stack([(right - left).sign() * move_x, (below - above).sign() * move_y], -1)
    return xy_nk2 + 0.25 * step


def nudge_keypoints(xy_nk2: Tensor, heatmap_nkhw: Tensor) -> Tensor:
    """A quarter of a pixel towards the greater neighbour, in x and in y, at the border too; of equals to the first."""
    right, left, below, above = values_at(heatmap_nkhw, xy_nk2, CROSS)
    return xy_nk2 + torch.stack([right > left, below > above], -1) * 0.5 - 0.25


def refine_keypoints_dark(xy_nk2: Tensor, heatmap_nkhw: Tensor, kernel_size: int = 11) -> Tensor:
    """The peak of the Gaussian that fits the blurred map (DARK).

    The logarithm of a Gaussian is a parabola, so one step of Newton's method from the greatest pixel ends at its peak.
    Peaks within two pixels of the border stay where they are.

    Distribution-Aware Coordinate Representation for Human Pose Estimation, Zhang et al., 2019, arXiv:1910.06278.

    Args:
        xy_nk2: Peaks.
        heatmap_nkhw: Maps.
        kernel_size: Of the blur that smooths the maps first, odd.
    """
    blurred = gaussian_blur(heatmap_nkhw, kernel_size)
    steps = ((0, 0), *CROSS, *WIDE_CROSS, (1, 1), (1, -1), (-1, 1), (-1, -1))
    logs = values_at(blurred, xy_nk2, steps).clamp(min=FLOOR).log().unbind(0)
    here, right, left, below, above, right2, left2, below2, above2, *corners = logs
    lower_right, upper_right, lower_left, upper_left = corners
    gradient = (0.5 * (right - left), 0.5 * (below - above))
    xx, yy = 0.25 * (right2 - 2 * here + left2), 0.25 * (below2 - 2 * here + above2)
    xy = 0.25 * (lower_right - upper_right - lower_left + upper_left)
    x, y = xy_nk2.long().unbind(-1)
    height, width = heatmap_nkhw.shape[-2:]
    inner = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    solvable = inner & (xx * yy - xy**2 != 0)
    return torch.where(solvable[..., None], xy_nk2 - _newton(gradient, xx, xy, yy), xy_nk2)


def refine_keypoints_dark_udp(
    xy_nk2: Tensor, heatmap_nkhw: Tensor, kernel_size: int = 11, rules: str = '0.x'
) -> Tensor:
    """As :func:`refine_keypoints_dark`, from the eight neighbours alone and up to the border.

    The Devil is in the Details: Delving into Unbiased Data Processing for Human Pose Estimation, Huang et al., 2019,
    arXiv:1911.07524.

    Args:
        xy_nk2: Peaks.
        heatmap_nkhw: Maps.
        kernel_size: Of the blur that smooths the maps first, odd.
        rules: Beyond the border the blur sees the map mirrored and may lower its maximum (``'0.x'``); or nothing, and
            the maximum is restored (``'1.x'``).
    """
    old = rules != '1.x'
    blurred = gaussian_blur(heatmap_nkhw, kernel_size, 'reflect' if old else 'zero', keep_maximum=not old)
    logs = values_at(blurred, xy_nk2, ((0, 0), *CROSS, (1, 1), (-1, -1))).clamp(*UDP_RANGE).log()
    here, right, left, below, above, lower_right, upper_left = logs.unbind(0)
    gradient = (0.5 * (right - left), 0.5 * (below - above))
    tiny = torch.finfo(torch.float32).eps
    xx, yy = right - 2 * here + left + tiny, below - 2 * here + above + tiny
    xy = 0.5 * (lower_right - right - below + 2 * here - left - above + upper_left)
    return xy_nk2 - _newton(gradient, xx, xy, yy)


def _newton(gradient: tuple[Tensor, Tensor], xx: Tensor, xy: Tensor, yy: Tensor) -> Tensor:
    """The inverse of the matrix of second derivatives, times the gradient."""
    x, y = gradient
    return torch.stack([yy * x - xy * y, xx * y - xy * x], -1) / (xx * yy - xy**2)[..., None]


def refine_simcc_dark(bin_nk: Tensor, vector_nkl: Tensor, kernel_size: int) -> Tensor:
    """DARK in one dimension.

    Args:
        bin_nk: Peaks of the vectors.
        vector_nkl: Vectors.
        kernel_size: Of the blur that smooths the vectors first, odd.
    """
    line_nk1l = gaussian_blur1d(vector_nkl, kernel_size).unsqueeze(-2)
    point_nk2 = torch.stack([bin_nk.round(), torch.zeros_like(bin_nk)], -1)
    logs = values_at(line_nk1l, point_nk2, ((0, 0), *CROSS[:2], *WIDE_CROSS[:2])).clamp(*UDP_RANGE).log()
    here, right, left, right2, left2 = logs.unbind(0)
    return bin_nk - 0.5 * (right - left) / (1e-9 + 0.25 * (right2 - 2 * here + left2))
