"""Pictures of classification: an image with its answer, and a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from intarsia.engine.log.figures import new_figure
from intarsia.tasks.classification.results import ClassificationResult

MIN_WIDTH = 224
MAX_NAMED = 30
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


def draw_confusion_matrix(counts: np.ndarray, classes: Sequence[str] | None, file: Path) -> None:
    """Draw a confusion matrix: rows are true classes, columns what was answered.

    Args:
        counts: int ``(C, C)``.
        classes: Names of the classes; None numbers them.
        file: ``.png``, ``.svg`` or ``.pdf``.

    Raises:
        IntarsiaError: matplotlib is not installed.
    """
    num = len(counts)
    names = list(classes) if classes is not None and len(classes) == num else [str(i) for i in range(num)]
    side = min(3.0 + 0.42 * num, 16.0)
    figure, (ax,) = new_figure(1, (side + 1.0, side))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    ax.set(xlabel='answered', ylabel='true', title=f'{np.trace(counts) / max(counts.sum(), 1):.1%} right')
    if num <= MAX_NAMED:
        ax.set_xticks(range(num), names, rotation=45, ha='right', fontsize=8)
        ax.set_yticks(range(num), names, fontsize=8)
        for row, column in np.argwhere(counts > 0):
            ink = 'white' if shares[row, column] > 0.5 else 'black'
            ax.text(column, row, str(counts[row, column]), ha='center', va='center', color=ink, fontsize=7)
    figure.savefig(file, dpi=130)
