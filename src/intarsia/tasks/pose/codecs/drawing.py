"""Draws the joints of one person into maps: what the targets of heat map networks are made of.

Shapes: k joints, maps of height h and width w; coordinates are x, y in pixels of the map.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

MARKED = 0.5
"""A joint is drawn if it is visible by more than this."""


def draw_gaussians(
    points_k2: np.ndarray,
    visible_k: np.ndarray,
    size: Sequence[int],
    sigma: float,
    exact: bool = False,
    cut: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian of height 1 at each joint.

    Args:
        points_k2: Joints.
        visible_k: How much each counts.
        size: Width and height of the maps.
        sigma: Standard deviation, pixels.
        exact: The centre is the joint, not the pixel nearest to it.
        cut: The Gaussian is 0 beyond three standard deviations.

    Returns:
        Maps ``(K, H, W)`` and weights ``(K,)``, float32. The weight of a joint is how visible it is, or 0 if nothing
        of its Gaussian lies in the map.
    """
    points = np.asarray(points_k2, np.float64)
    radius = 3 * sigma
    if cut:
        nearest = np.trunc(points + 0.5)
        # Rounding to zero puts the Gaussian a pixel off if the radius is no multiple of a half, and at the left and
        # upper border if it is no whole number. So it has always been; the published weights learned from it.
        first, last = np.trunc(nearest - radius), np.trunc(nearest + radius + 1)
        centre = first + (2 * radius + 1) // 2 + (points - nearest if exact else 0)
    else:
        first, last, centre = points - radius, points + radius + 1, points
    inside = ((first < size) & (last >= 0)).all(axis=1)
    weight = np.asarray(visible_k, np.float32) * inside
    row_kw, column_kh = (
        _bell(length, centre[:, axis], sigma) * (_between(length, first[:, axis], last[:, axis]) if cut else 1)
        for axis, length in enumerate(size)
    )
    column_kh[weight <= MARKED] = 0
    return column_kh[:, :, None] * row_kw[:, None, :], weight


def draw_people(joints_pk3: np.ndarray, size: tuple[int, int], sigma: float, exact: bool = False) -> np.ndarray:
    """The joints of all people, as bottom-up networks of old learned them; float32 ``(K, H, W)``.

    A Gaussian at the pixel that holds each joint, one pixel wider than that of :func:`draw_gaussians`; where people
    meet, the greatest value.

    Args:
        joints_pk3: x, y, and whether the joint is marked.
        size: Width and height of the maps.
        sigma: Standard deviation, pixels; the Gaussian is 0 a pixel beyond three of them.
        exact: The centre is the joint, not the pixel that holds it.
    """
    width, height = size
    maps = np.zeros((joints_pk3.shape[1], height, width), np.float32)
    reach = 3 * sigma + 1
    for person in joints_pk3[..., :3].tolist():
        for joint, (x, y, marked) in enumerate(person):
            if marked <= 0:
                continue
            column, row = int(x), int(y)
            if not (0 <= column < width and 0 <= row < height):
                continue
            offsets = (x - column, y - row) if exact else (0.0, 0.0)
            left, across = _bell_from(column, offsets[0], width, reach, sigma)
            top, down = _bell_from(row, offsets[1], height, reach, sigma)
            patch = maps[joint, top : top + len(down), left : left + len(across)]
            np.maximum(patch, down[:, None] * across, out=patch)
    return maps


def _bell_from(pixel: int, offset: float, length: int, reach: float, sigma: float) -> tuple[int, np.ndarray]:
    """The first pixel of a Gaussian along one side of a map, and its values."""
    start, stop = round(pixel - reach), round(pixel + reach + 1)
    first = max(start, 0)
    distance = np.arange(first, min(stop, length)) - (start + reach + offset)
    return first, np.exp(distance**2 / (-2 * sigma**2)).astype(np.float32)


def _bell(length: int, centre_k: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-((np.arange(length) - centre_k[:, None]) ** 2) / (2 * sigma**2)).astype(np.float32)


def _between(length: int, first_k: np.ndarray, last_k: np.ndarray) -> np.ndarray:
    pixel = np.arange(length)
    return (pixel >= first_k[:, None]) & (pixel < last_k[:, None])


def draw_discs(
    points_k2: np.ndarray, visible_k: np.ndarray, size: Sequence[int], radius: float, cut: bool = True
) -> np.ndarray:
    """Three maps for each joint: a disc round it, and the way to it in x and in y.

    Args:
        points_k2: Joints.
        visible_k: How much each counts.
        size: Width and height of the maps.
        radius: Of the disc, pixels; also the unit of the way.
        cut: The way is 0 outside the disc.

    Returns:
        Float32 ``(3K, H, W)``: for joint i the disc (1, outside 0) at 3i, then x, then y.
    """
    width, height = size
    x, y = np.asarray(points_k2, np.float64).T[:, :, None, None]
    way_x = np.broadcast_to((x - np.arange(width)) / radius, (len(x), height, width))
    way_y = np.broadcast_to((y - np.arange(height)[:, None]) / radius, (len(x), height, width))
    disc = way_x**2 + way_y**2 <= 1
    maps = np.stack([disc, way_x, way_y], axis=1).astype(np.float32)
    drawn = (np.asarray(visible_k) > MARKED)[:, None, None, None]
    maps *= drawn & disc[:, None] if cut else drawn
    return maps.reshape(-1, height, width)


def draw_blurred_points(
    points_k2: np.ndarray, visible_k: np.ndarray, size: Sequence[int], kernel_size: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """A single pixel for each joint, the one that holds it, blurred and scaled to a height of 255.

    Args:
        points_k2: Joints.
        visible_k: How much each counts.
        size: Width and height of the maps.
        kernel_size: Of the blur, in x and y, odd.

    Returns:
        Maps ``(K, H, W)`` and weights ``(K,)``, float32; the weight of a joint outside the map is 0.
    """
    pixel = np.trunc(np.asarray(points_k2, np.float64)).astype(int)
    inside = ((pixel >= 0) & (pixel < size)).all(axis=1)
    weight = np.asarray(visible_k, np.float32) * inside
    width, height = size
    kernel_x, kernel_y = kernel_size
    maps = np.zeros((len(pixel), height, width), np.float32)
    for i in np.flatnonzero(weight > MARKED):
        x, y = pixel[i]
        maps[i, y, x] = 1
        blurred = cv2.GaussianBlur(maps[i], (kernel_x, kernel_y), 0)
        maps[i] = blurred / blurred[y, x] * 255
    return maps, weight
