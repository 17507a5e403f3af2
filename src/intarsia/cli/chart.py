"""Charts made of characters."""

from __future__ import annotations

from collections.abc import Sequence

DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of the dots of a Braille character, by column and row from the top."""


def draw_chart(title: str, values: Sequence[float], width: int, height: int, x_labels: Sequence[str]) -> list[str]:
    """A line chart with axes.

    Args:
        title: Its first line.
        values: At equal distances; all of them finite.
        width: Characters of a line in all.
        height: Lines of the plot itself.
        x_labels: Under the beginning, the middle and the end of the plot.

    Returns:
        The lines.
    """
    low, high = min(values), max(values)
    labels = {0: f'{high:.4g}', height - 1: f'{low:.4g}'}
    if height >= 5 and height % 2:
        labels[height // 2] = f'{(low + high) / 2:.4g}'
    margin = max(map(len, labels.values())) + 1
    columns = max(width - margin - 2, 10)
    lines = [title]
    for number, row in enumerate(_plot(values, columns, height, low, high)):
        tick = '┤' if number in labels else '│'
        lines.append(f'{labels.get(number, ""):>{margin}} {tick}{row}'.rstrip())
    lines.append(' ' * margin + ' └' + '─' * columns)
    left, middle, right = x_labels
    lines.append((' ' * (margin + 2) + _justified(left, middle, right, columns)).rstrip())
    return lines


def _justified(left: str, middle: str, right: str, width: int) -> str:
    if len(left) + len(middle) + len(right) + 2 > width:
        middle = ''
    free = width - len(left) - len(right)
    return left + middle.center(max(free, 1)) + right


def _plot(values: Sequence[float], columns: int, rows: int, low: float, high: float) -> list[str]:
    """The line itself, in Braille characters: 2 x 4 dots each."""
    num_x, num_y = columns * 2, rows * 4
    cells = [[0] * columns for _ in range(rows)]
    scale = (num_y - 1) / (high - low) if high > low else 0.0
    last = None
    for x in range(num_x):
        begin = x * len(values) // num_x
        part = values[begin : max(begin + 1, (x + 1) * len(values) // num_x)]
        top, bottom = (round((high - v) * scale) for v in (max(part), min(part)))
        if last is not None:  # reach to where the column before ended, so that the line has no gaps
            top, bottom = min(top, last + 1), max(bottom, last - 1)
        for y in range(max(top, 0), min(bottom, num_y - 1) + 1):
            cells[y // 4][x // 2] |= DOTS[x % 2][y % 4]
        last = round((high - part[-1]) * scale)
    return [''.join(chr(0x2800 + dots) for dots in row) for row in cells]
