"""Functions of MMPose that its users import, over ours.

Shapes: n people, k joints, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from intarsia.openmmlab.words import PIXEL_STD
from intarsia.tasks.pose.codecs.flip import flip_heatmaps
from intarsia.tasks.pose.transforms.affine import crop_matrix, move, udp_matrix
from intarsia.tasks.pose.transforms.flip import partners


def flip_back(output_flipped: np.ndarray, flip_pairs: Any, target_type: str = 'GaussianHeatmap') -> np.ndarray:
    """Heat maps ``(N, K, h, w)`` of mirrored images, mirrored back.

    Args:
        output_flipped: The maps; three a joint with ``target_type='CombinedTarget'``.
        flip_pairs: Joints that change places.
        target_type: What the maps are.
    """
    combined = target_type.lower() == 'combinedtarget'
    count = output_flipped.shape[1] // (3 if combined else 1)
    index = partners(flip_pairs, count).tolist()
    mode = 'udp_combined' if combined else 'heatmap'
    return flip_heatmaps(torch.from_numpy(np.ascontiguousarray(output_flipped)), index, mode=mode).numpy()


def transform_preds(
    coords: np.ndarray, center: np.ndarray, scale: np.ndarray, output_size: Sequence[int], use_udp: bool = False
) -> np.ndarray:
    """Points ``(K, 2 or more)`` of heat maps in pixels of the image.

    Args:
        coords: The points; what comes after x and y stays.
        center: Middle of the box.
        scale: Width and height of the box over 200 pixels.
        output_size: Width and height of the maps.
        use_udp: Sizes are gaps between pixels.
    """
    size = np.asarray(scale) * PIXEL_STD
    maps = np.asarray(output_size, np.float64) - (1.0 if use_udp else 0.0)
    placed = np.array(coords, np.result_type(coords, np.float32))
    placed[:, :2] = coords[:, :2] * (size / maps) + np.asarray(center) - size * 0.5
    return placed


def get_affine_transform(
    center: np.ndarray,
    scale: Any,
    rot: float,
    output_size: Sequence[int],
    shift: Sequence[float] = (0.0, 0.0),
    inv: bool = False,
) -> np.ndarray:
    """The matrix ``(2, 3)`` that brings the box of a person, ``scale`` of 200 pixels, to the input.

    Args:
        center: Middle of the box.
        scale: Width and height, or both as one number.
        rot: Degrees.
        output_size: Width and height of the input.
        shift: Part of the box by which it is moved.
        inv: The matrix back.
    """
    pair = np.broadcast_to(np.asarray(scale, np.float32), 2)
    moved = np.asarray(center) + pair * PIXEL_STD * np.asarray(shift)
    matrix = crop_matrix(moved, pair, rot, output_size)
    return cv2.invertAffineTransform(matrix) if inv else matrix


def get_warp_matrix(*args: Any, **kwargs: Any) -> np.ndarray:
    """Two functions of one name.

    ``(theta, size_input, size_dst, size_target)`` of the first generation is unbiased data processing;
    ``(center, scale, rot, output_size, shift, inv)`` of the second, whose scale is in pixels, is
    :func:`get_affine_transform`.
    """
    if 'theta' in kwargs or (args and np.ndim(args[0]) == 0):
        return _udp_by_sizes(*args, **kwargs)
    return _by_pixels(*args, **kwargs)


def _udp_by_sizes(theta: float, size_input: Any, size_dst: Any, size_target: Any) -> np.ndarray:
    center = np.asarray(size_input, np.float64) * 0.5
    return udp_matrix(center, size_target, theta, np.asarray(size_dst, np.float64) + 1)


def _by_pixels(
    center: np.ndarray, scale: Any, rot: float, output_size: Sequence[int], shift: Any = (0.0, 0.0), inv: bool = False
) -> np.ndarray:
    return get_affine_transform(center, np.asarray(scale) / PIXEL_STD, rot, output_size, shift, inv)


def get_udp_warp_matrix(center: np.ndarray, scale: np.ndarray, rot: float, output_size: Sequence[int]) -> np.ndarray:
    """The matrix of unbiased data processing; ``scale`` is in pixels."""
    return udp_matrix(center, scale, rot, output_size)


def affine_transform(pt: Any, trans_mat: Any) -> np.ndarray:
    """A point moved by a matrix ``(2, 3)``."""
    return move(np.asarray(pt), np.asarray(trans_mat))


def fliplr_joints(
    joints_3d: np.ndarray, joints_3d_visible: np.ndarray, img_width: int, flip_pairs: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Joints ``(K, 3)`` and their visibility in the mirrored image."""
    index = partners(flip_pairs, len(joints_3d))
    joints, visible = joints_3d[index].copy(), joints_3d_visible[index].copy()
    joints[:, 0] = img_width - 1 - joints[:, 0]
    return joints * visible, visible


def to_numpy(x: Any, return_device: bool = False, unzip: bool = False) -> Any:
    """Arrays of tensors, in lists too."""
    several = isinstance(x, (list, tuple))
    first = x[0] if several else x
    device = first.device if isinstance(first, Tensor) else None
    arrays: Any = [_array(each) for each in x] if several else _array(x)
    if unzip:
        arrays = list(zip(*arrays, strict=True))
    return (arrays, device) if return_device else arrays


def _array(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value
