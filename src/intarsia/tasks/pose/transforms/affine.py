"""From a part of the image to the input of the network.

Shapes: k joints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.affine import warp
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD

BLACK = (0, 0, 0)


def crop(img: Array, matrix: Array, size: Sequence[int] | Array) -> Array:
    """Move the pixels of ``img`` as ``matrix`` ``(2, 3)`` says into a frame of ``size`` (width, height)."""
    return warp(img, matrix, BLACK, 'bilinear', (int(size[1]), int(size[0])))


def move(points: Array, matrix: Array) -> Array:
    """Points ``(..., 2)`` moved by a matrix ``(2, 3)``."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def crop_matrix(center: Array, scale: Array, rotation: float, size: Sequence[float] | Array) -> Array:
    """The matrix ``(2, 3)``, float64, that brings a part of the image to the input.

    The width of the part becomes that of the input, its height follows; computed from three points in float32, as the
    published models were trained.

    Args:
        center: Middle of the part in pixels.
        scale: Width and height of it over :data:`PIXEL_STD`.
        rotation: Degrees, clockwise in the image, by which the part is turned.
        size: Width and height of the input.
    """
    angle = math.radians(rotation)
    half = float(scale[0] * np.float32(PIXEL_STD)) * 0.5
    width, height = size
    source = _triangle(np.asarray(center), np.array([half * math.sin(angle), -half * math.cos(angle)]))
    target = _triangle(np.array([width * 0.5, height * 0.5]), np.array([0, -0.5 * width]))
    return cv2.getAffineTransform(source, target)


def _triangle(corner: Array, up: Array) -> Array:
    """A point, the one that lies ``up`` from it, and the one to the left of that by as much, float32 ``(3, 2)``."""
    first, second = corner.astype(np.float32), (corner + up).astype(np.float32)
    back = first - second
    return np.stack([first, second, second + np.array([-back[1], back[0]], np.float32)])


def udp_matrix(
    center: Sequence[float] | Array, box_size: Sequence[float] | Array, rotation: float, size: Sequence[float] | Array
) -> Array:
    """The matrix ``(2, 3)``, float32, by unbiased data processing: sizes are gaps between pixels, not pixels.

    From "The Devil is in the Details: Delving into Unbiased Data Processing for Human Pose Estimation", Huang et al.,
    2019, arXiv:1911.07524.

    Args:
        center: Middle of the part in pixels.
        box_size: Width and height of the part in pixels.
        rotation: Degrees.
        size: Width and height of the input in pixels.
    """
    angle = math.radians(rotation)
    cos, sin = math.cos(angle), math.sin(angle)
    (x, y), (width, height) = (float(v) for v in center), (float(v) for v in box_size)
    across, down = (size[0] - 1) / width, (size[1] - 1) / height
    return np.array(
        [
            [cos * across, -sin * across, across * (-x * cos + y * sin + 0.5 * width)],
            [sin * down, cos * down, down * (-x * sin - y * cos + 0.5 * height)],
        ],
        np.float32,
    )


@TRANSFORMS.register_module()
class TopDownAffine(Transform):
    """Cut the part of the image that ``center``, ``scale`` and ``rotation`` say out, as large as the input.

    Joints move with it; without ``use_udp`` those that nobody has marked stay where they are.

    Args:
        use_udp: Count sizes in gaps between pixels; see :func:`udp_matrix`.
    """

    def __init__(self, use_udp: bool = False) -> None:
        self.use_udp = use_udp

    def matrix(self, results: Results) -> Array:
        """From the image to the input, ``(2, 3)``."""
        center, scale, rotation = results['center'], results['scale'], results.get('rotation', 0)
        size = results['ann_info']['image_size']
        if self.use_udp:
            return udp_matrix(center, scale * PIXEL_STD, rotation, size)
        return crop_matrix(center, scale, rotation, size)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Cut out; nothing is drawn."""
        matrix = self.matrix(results)
        results['img'] = crop(results['img'], matrix, results['ann_info']['image_size'])
        joints: Any = results['joints_3d'].copy()
        moves = slice(None) if self.use_udp else results['joints_3d_visible'][:, 0] > 0
        joints[moves, :2] = move(joints[moves, :2], matrix)
        results['joints_3d'] = joints
        return results
