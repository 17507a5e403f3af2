"""Pictures of poses: joints, the lines between them, and boxes, over the image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.results import PoseResult

Color = tuple[int, int, int]

BOX_COLOR: Color = (0, 200, 0)
PLAIN_COLOR: Color = (0, 128, 255)
SHOWN_FROM = 0.3
"""Joints with lower scores are not drawn."""


def draw_poses(image: np.ndarray, result: PoseResult, min_score: float = SHOWN_FROM) -> np.ndarray:
    """The image with the people that were found in it.

    Args:
        image: uint8 BGR ``(H, W, 3)``; not changed.
        result: Its prediction.
        min_score: Joints with lower scores are left out, and the lines to them.

    Returns:
        uint8 BGR of the same size.
    """
    picture = image.copy()
    for keypoints_k2, score_k, box in zip(result.keypoints, result.scores, result.boxes, strict=True):
        draw_person(picture, keypoints_k2, score_k >= min_score, result.info)
        x, y, width, height = (round(float(value)) for value in box)
        cv2.rectangle(picture, (x, y), (x + width, y + height), BOX_COLOR, 1, cv2.LINE_AA)
    return picture


def draw_person(picture: np.ndarray, keypoints_k2: np.ndarray, shown_k: np.ndarray, info: DatasetInfo | None) -> None:
    """Draw one person's joints and lines into a picture.

    Args:
        picture: uint8 BGR ``(H, W, 3)``, drawn into.
        keypoints_k2: x, y in its pixels.
        shown_k: Which joints are drawn.
        info: Lines and colours; without it there are only points.
    """
    thickness = max(1, round(min(picture.shape[:2]) / 200))
    points = [(round(float(x)), round(float(y))) for x, y in keypoints_k2]
    for (start, end), color in zip(info.skeleton if info else (), info.skeleton_colors if info else (), strict=True):
        if shown_k[start] and shown_k[end]:
            cv2.line(picture, points[start], points[end], _bgr(color), thickness, cv2.LINE_AA)
    for joint, point in enumerate(points):
        if shown_k[joint]:
            color = _bgr(info.keypoint_colors[joint]) if info else PLAIN_COLOR
            cv2.circle(picture, point, thickness + 1, color, -1, cv2.LINE_AA)


def _bgr(color: Sequence[int]) -> Color:
    red, green, blue = color
    return int(blue), int(green), int(red)
