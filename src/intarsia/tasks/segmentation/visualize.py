"""Pictures of segmentations: the image under a colour for each class, and a legend."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from intarsia.tasks.segmentation.results import SegmentationResult

LEGEND_ROW, MAX_LEGEND = 18, 12


def draw_mask(image: np.ndarray, result: SegmentationResult, opacity: float = 0.5) -> np.ndarray:
    """The image with its classes in colour, and below it a legend of the largest ones.

    Args:
        image: uint8 BGR ``(H, W, 3)``.
        result: Its prediction.
        opacity: Of the colours, 0 ... 1.

    Returns:
        uint8 BGR, as wide and taller.
    """
    colored = color_mask(image, result.mask, colors_of(result), opacity)
    return np.vstack([colored, legend(result, image.shape[1])])


def color_mask(image: np.ndarray, mask: np.ndarray, colors_bgr: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Mix an image with the colour of each pixel's class; labels without a colour leave it as it is.

    Args:
        image: uint8 BGR ``(H, W, 3)``.
        mask: Labels ``(H, W)``.
        colors_bgr: uint8 ``(C, 3)``.
        opacity: Of the colours, 0 ... 1.
    """
    known = mask < len(colors_bgr)
    colored = colors_bgr[np.where(known, mask, 0)]
    mixed = cv2.addWeighted(image, 1 - opacity, colored, opacity, 0)
    return np.where(known[..., None], mixed, image)


def colors_of(result: SegmentationResult) -> np.ndarray:
    """uint8 BGR ``(C, 3)``: the palette of the result, or colours that differ well."""
    return palette_bgr(result.palette, max(len(result.classes or ()), int(result.mask.max()) + 1))


def palette_bgr(palette: Sequence[Sequence[int]] | None, count: int) -> np.ndarray:
    """A palette of RGB colours as uint8 BGR ``(C, 3)``; without one, ``count`` colours that differ well."""
    return distinct_colors(count) if palette is None else np.array(palette, np.uint8)[:, ::-1]


def distinct_colors(count: int) -> np.ndarray:
    """uint8 BGR ``(count, 3)``: black, then hues that are far apart, the golden ratio on."""
    hues = np.arange(count) * 0.618034 % 1 * 180
    hsv = np.stack([hues, np.full(count, 200), np.full(count, 230)], 1).astype(np.uint8)
    colors = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2BGR)[0]
    colors[:1] = 0
    return colors


def legend(result: SegmentationResult, width: int) -> np.ndarray:
    """Colour, name and share of the largest classes, in as many columns as fit: uint8 BGR ``(h, width, 3)``."""
    colors = colors_of(result)
    entries = [(colors[label], f'{result.name(label)} {100 * share:.0f}%') for label, share in result.shares().items()]
    column = min(max(8 * max(len(text) for _, text in entries) + LEGEND_ROW, 60), width)
    per_row = max(width // column, 1)
    shown = entries[:MAX_LEGEND]
    canvas = np.full((-(-len(shown) // per_row) * LEGEND_ROW + 4, width, 3), 255, np.uint8)
    for i, (color, text) in enumerate(shown):
        x, y = i % per_row * column + 4, i // per_row * LEGEND_ROW + 4
        cv2.rectangle(canvas, (x, y), (x + 10, y + 10), _plain(color), -1)
        cv2.putText(canvas, text, (x + 14, y + 10), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def _plain(color: Sequence[int] | np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in color)
