"""Pictures of classification: an image with its answer."""

from __future__ import annotations

import cv2
import numpy as np

from intarsia.tasks.classification.results import ClassificationResult

MIN_WIDTH = 224
INK, PAPER = (32, 32, 32), (255, 255, 255)


def draw_label(image: np.ndarray, result: ClassificationResult) -> np.ndarray:
    """Write the answer below an image.

    Args:
        image: uint8 ``(H, W, 3)``, BGR.
        result: The answer.

    Returns:
        A new uint8 BGR picture, at least 224 pixels wide; small images are enlarged without smoothing.
    """
    return write_below(image, str(result))


def write_below(image: np.ndarray, text: str) -> np.ndarray:
    """A picture, at least 224 pixels wide, with a line of text below it: uint8 BGR in and out."""
    factor = max(1, -(-MIN_WIDTH // image.shape[1]))
    picture = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    scale = picture.shape[1] / 640 + 0.35
    (_, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    strip = np.full((height + baseline + 12, picture.shape[1], 3), PAPER, np.uint8)
    cv2.putText(strip, text, (6, height + 6), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
    return np.vstack([picture, strip])
