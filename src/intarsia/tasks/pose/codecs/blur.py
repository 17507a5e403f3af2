"""Gaussian blur of maps as a product of matrices: exact at any border, batched, on any device.

A blur is linear and works on rows and columns alike, so blurring a map is multiplying it by a banded matrix from the
left and by another from the right. What lies beyond the border is part of the matrices.

Shapes: n people, k joints, maps of height h and width w, or rows of length l.
"""

from __future__ import annotations

import functools
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Border = Literal['zero', 'reflect']
"""What lies beyond the border: nothing, or the map mirrored at its last pixel."""


@functools.lru_cache(64)
def blur_matrix(length: int, kernel_size: int, border: Border = 'zero') -> np.ndarray:
    """The matrix that blurs a row of pixels.

    Args:
        length: Of the row.
        kernel_size: Of the Gaussian, odd; its standard deviation is 0.3 * ((size - 1) / 2 - 1) + 0.8, as OpenCV
            chooses it: 2 for a size of 11, 3 for 17.
        border: What lies beyond the border.

    Returns:
        Float32 ``(L, L)``, to be read only; row i holds what each pixel adds to the blurred pixel i.
    """
    kernel = _kernel(kernel_size)
    reach = kernel_size // 2
    pixel = np.arange(length)
    source = np.pad(pixel, reach, mode='reflect') if border == 'reflect' else np.pad(pixel, reach, constant_values=-1)
    matrix = np.zeros((length, length), np.float32)
    for step, share in enumerate(kernel):
        taken = source[step : step + length]
        matrix[pixel[taken >= 0], taken[taken >= 0]] += share
    matrix.flags.writeable = False
    return matrix


def gaussian_blur(
    heatmap_nkhw: Tensor, kernel_size: int = 11, border: Border = 'zero', keep_maximum: bool = True
) -> Tensor:
    """Blurred maps.

    Args:
        heatmap_nkhw: Float32 maps.
        kernel_size: Of the Gaussian, odd; see :func:`blur_matrix`.
        border: What lies beyond the border.
        keep_maximum: Scale each blurred map so that its greatest value is that of the map before. A map of zeros
            stays one.
    """
    height, width = heatmap_nkhw.shape[-2:]
    with torch.autocast(heatmap_nkhw.device.type, enabled=False):
        across = heatmap_nkhw @ _like(blur_matrix(width, kernel_size, border).T, heatmap_nkhw)
        blurred = _like(blur_matrix(height, kernel_size, border), heatmap_nkhw) @ across
    return _scaled(blurred, heatmap_nkhw, (-2, -1)) if keep_maximum else blurred


def blur_at(map_nkchw: Tensor, xy_nk2: Tensor, kernel_size: int, border: Border = 'zero') -> Tensor:
    """The values that blurred maps have at one pixel of each, without blurring the rest.

    Args:
        map_nkchw: C maps for each joint.
        xy_nk2: Pixels, inside the map.
        kernel_size: Of the Gaussian, odd.
        border: What lies beyond the border.

    Returns:
        ``(N, K, C)``.
    """
    height, width = map_nkchw.shape[-2:]
    x, y = xy_nk2.long().unbind(-1)
    across_nk1w1 = _like(blur_matrix(width, kernel_size, border), map_nkchw)[x][:, :, None, :, None]
    down_nk11h = _like(blur_matrix(height, kernel_size, border), map_nkchw)[y][:, :, None, None]
    with torch.autocast(map_nkchw.device.type, enabled=False):
        return (down_nk11h @ map_nkchw @ across_nk1w1)[..., 0, 0]


def symmetric_blur(heatmap_nkhw: Tensor, kernel_size: int = 11) -> Tensor:
    """:func:`gaussian_blur`, slower, but to the last bit as OpenCV computes it: for when equal neighbours stay equal.

    Each pixel is the sum of shifted maps, in the order of OpenCV. A CPU takes as many maps at a time as
    its cache holds.
    """
    shares = _kernel(kernel_size).tolist()
    reach, (height, width) = kernel_size // 2, heatmap_nkhw.shape[-2:]
    blurred = []
    for maps in heatmap_nkhw.flatten(0, 1).split(64 if heatmap_nkhw.is_cpu else 4096):
        padded = F.pad(maps, (reach,) * 4)
        line = padded[..., :width] * shares[0]
        for x in range(1, kernel_size):
            line.add_(padded[..., x : x + width], alpha=shares[x])
        rows = [line[:, y : y + height] for y in range(kernel_size)]
        block = rows[reach] * shares[reach]
        for step in range(1, reach + 1):
            block.add_(rows[reach + step] + rows[reach - step], alpha=shares[reach + step])
        blurred.append(block)
    return _scaled(torch.cat(blurred).view_as(heatmap_nkhw), heatmap_nkhw, (-2, -1))


def gaussian_blur1d(vector_nkl: Tensor, kernel_size: int = 11) -> Tensor:
    """Blurred rows, with nothing beyond the border; each is scaled so that its greatest value is that before."""
    with torch.autocast(vector_nkl.device.type, enabled=False):
        blurred = vector_nkl @ _like(blur_matrix(vector_nkl.shape[-1], kernel_size).T, vector_nkl)
    return _scaled(blurred, vector_nkl, (-1,))


def _kernel(size: int) -> np.ndarray:
    if size < 1 or size % 2 == 0:
        raise ValueError(f'the kernel size of a blur is odd and positive, not {size}')
    return cv2.getGaussianKernel(size, 0, cv2.CV_32F)[:, 0]


def _scaled(blurred: Tensor, original: Tensor, dims: tuple[int, ...]) -> Tensor:
    before, after = original.amax(dims, keepdim=True), blurred.amax(dims, keepdim=True)
    return blurred * torch.where(after == 0, 1, before / after)


def _like(matrix: np.ndarray, maps: Tensor) -> Tensor:
    return torch.tensor(matrix, dtype=maps.dtype, device=maps.device)
