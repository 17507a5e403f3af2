"""Pictures of streams: when what happens."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from intarsia.tasks.action.localization_result import LocalizationResult

Canvas = NDArray[np.uint8]

WIDTH, LEFT, RIGHT, ROW, TOP, BOTTOM = 960, 190, 20, 34, 34, 36
"""Of the picture, its margins, and the height of a row, in pixels."""
SHOWN, MIN_PART = 30, 0.3
"""The most segments that are drawn; those with less than this part of the best score are not."""
INK, GRID, PAPER = (40, 40, 40), (225, 225, 225), (255, 255, 255)
COLORS = ((180, 119, 31), (14, 127, 255), (44, 160, 44), (40, 39, 214), (189, 103, 148), (75, 86, 140), (194, 119, 227))
"""Of rows, BGR; they repeat."""


def draw_timeline(result: LocalizationResult) -> Canvas:
    """The segments of a stream over time, a row for each class; uint8 BGR ``(H, W, 3)``.

    Without classes each segment has a row, the best on top. The stronger the colour, the greater the score.
    """
    scores = result.scores
    chosen = np.flatnonzero(scores >= MIN_PART * scores.max(initial=0))[:SHOWN].tolist()
    names = [result.name(i) or f'proposal {rank}' for rank, i in enumerate(chosen, 1)]
    rows = {name: row for row, name in enumerate(dict.fromkeys(names))}
    picture = np.full((TOP + ROW * max(len(rows), 1) + BOTTOM, WIDTH, 3), PAPER, np.uint8)
    end = result.duration or 1.0
    _draw_axis(picture, end, 's' if result.duration else 'of the stream')
    _write(picture, result.video or '', 8, 22)
    for name, row in rows.items():
        _write(picture, name[:22], 8, TOP + row * ROW + 22)
    for i, name in reversed(list(zip(chosen, names, strict=True))):
        row = rows[name]
        low, high = (LEFT + int(at / end * (WIDTH - LEFT - RIGHT)) for at in result.segments[i].tolist())
        strength = float(scores[i] / max(scores[0], 1e-9))
        color = [round(255 - strength * (255 - channel)) for channel in COLORS[row % len(COLORS)]]
        y = TOP + row * ROW
        cv2.rectangle(picture, (low, y + 5), (max(high, low + 1), y + ROW - 5), color, cv2.FILLED)
        cv2.rectangle(picture, (low, y + 5), (max(high, low + 1), y + ROW - 5), INK, 1)
        if high - low > 36:
            _write(picture, f'{scores[i]:.2f}', low + 4, y + 22)
    return picture


def _draw_axis(picture: Canvas, end: float, unit: str) -> None:
    """Vertical lines at round times, with their times below."""
    bottom = picture.shape[0] - BOTTOM
    step = _round_step(end / 8)
    for at in np.arange(0, end * (1 + 1e-6), step).tolist():
        x = LEFT + int(at / end * (WIDTH - LEFT - RIGHT))
        cv2.line(picture, (x, TOP), (x, bottom), GRID, 1)
        _write(picture, f'{at:g}', x - 8, bottom + 16)
    cv2.line(picture, (LEFT, bottom), (WIDTH - RIGHT, bottom), INK, 1)
    _write(picture, unit, 8, bottom + 16)


def _round_step(at_least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, 50 ... and their decimal parts that is no less."""
    power = 10.0 ** np.floor(np.log10(at_least))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= at_least - 1e-12))


def _write(picture: Canvas, text: str, x: int, y: int) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
