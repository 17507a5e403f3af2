"""The metrics of every class as a table for the terminal."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from intarsia.tasks.segmentation.metrics.scores import mean_scores, percent


def class_table(class_names: Sequence[str], scores: Mapping[str, np.ndarray]) -> str:
    """A line for each class, in percent, and their mean.

    Args:
        class_names: C names.
        scores: Fractions ``(C,)`` by name, and ``aAcc``; see
            :func:`~intarsia.tasks.segmentation.metrics.scores.class_scores`.

    Returns:
        Text without a newline at its end. A value that cannot be said is ``-``::

            class       IoU    Acc
            ----------------------
            road      97.84  98.90
            sidewalk      -      -
            ----------------------
            mean      97.84  98.90   (aAcc 98.85)
    """
    columns = {name: percent(value) for name, value in scores.items() if name != 'aAcc'}
    means = mean_scores(dict(scores))
    width = max(_width(name) for name in (*class_names, 'class'))
    widths = [max(6, len(name)) + 2 for name in columns]

    def line(label: str, cells: Sequence[str]) -> str:
        padded = ''.join(f'{cell:>{w}}' for cell, w in zip(cells, widths, strict=True))
        return label + ' ' * (width - _width(label)) + padded

    rule = '-' * (width + sum(widths))
    rows = [line(str(name), [_cell(column[i]) for column in columns.values()]) for i, name in enumerate(class_names)]
    mean = line('mean', [_cell(means[f'm{name}']) for name in columns])
    return '\n'.join([line('class', list(columns)), rule, *rows, rule, f'{mean}   (aAcc {_cell(means["aAcc"])})'])


def _cell(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.2f}'


def _width(text: str) -> int:
    """Columns in a terminal, where a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in 'WF' else 1 for c in str(text))
