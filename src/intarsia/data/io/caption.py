"""A line of text below a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_WIDTH = 224
INK, PAPER = (32, 32, 32), (255, 255, 255)


def write_below(image: NDArray[np.uint8], *lines: str) -> NDArray[np.uint8]:
    """A picture, at least 224 pixels wide, with lines of text below it: uint8 BGR in and out.

    Small images are enlarged without smoothing.
    """
    factor = max(1, -(-MIN_WIDTH // image.shape[1]))
    picture = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    scale = picture.shape[1] / 640 + 0.35
    strips = [_strip(line, picture.shape[1], scale) for line in lines]
    return np.vstack([picture, *strips]).astype(np.uint8, copy=False)


def _strip(text: str, width: int, scale: float) -> NDArray[np.uint8]:
    (_, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    strip = np.full((height + baseline + 12, width, 3), PAPER, np.uint8)
    cv2.putText(strip, text, (6, height + 6), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
    return strip
