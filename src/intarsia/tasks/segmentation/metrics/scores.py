"""From counts of pixels to the values of metrics.

Shapes: c classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from intarsia.core.errors import closest

METRIC_NAMES = ('mIoU', 'mDice', 'mFscore')


def check_names(metrics: Sequence[str]) -> None:
    """Raise a ValueError that names the first metric that is none of METRIC_NAMES, and a close one."""
    for name in metrics:
        if name not in METRIC_NAMES:
            close = closest(str(name), METRIC_NAMES)
            hint = f" Did you mean '{close}'?" if close else ''
            raise ValueError(
                f"there is no metric '{name}' of segmentation.{hint} There are: {', '.join(METRIC_NAMES)}."
            )


def areas(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of each class: answered rightly; answered; true.

    Args:
        pairs: Counts ``(C + 1, C + 1)``, as :func:`~intarsia.tasks.segmentation.metrics.confusion.count_pairs` gives
            them.

    Returns:
        Three arrays int64 ``(C,)``.
    """
    return pairs.diagonal()[:-1].copy(), pairs.sum(axis=0)[:-1], pairs.sum(axis=1)[:-1]


def class_scores(
    right: np.ndarray,
    answered: np.ndarray,
    true: np.ndarray,
    metrics: Sequence[str] = ('mIoU',),
    nan_to_num: float | None = None,
    beta: float = 1,
) -> dict[str, np.ndarray]:
    """Values of each class, in fractions.

    Args:
        right: Pixels that were answered rightly ``(C,)``.
        answered: Pixels that were answered ``(C,)``.
        true: Pixels of the class ``(C,)``.
        metrics: ``'mIoU'`` gives IoU and Acc, ``'mDice'`` Dice and Acc, ``'mFscore'`` Fscore, Precision and Recall.
        nan_to_num: Value of a class that has no pixel to divide by; NaN if None.
        beta: Weight of the recall against the precision in Fscore.

    Returns:
        By name float64 ``(C,)``, and ``aAcc``, the share of right pixels, a 0-dimensional array. The F-score of a
        class that was answered and exists but never at the same place is NaN, its Dice 0.
    """
    with np.errstate(divide='ignore', invalid='ignore'):
        recall, precision = right / true, right / answered
        weight = beta**2
        found = {
            'mIoU': {'IoU': right / (answered + true - right), 'Acc': recall},
            'mDice': {'Dice': 2 * right / (answered + true), 'Acc': recall},
            'mFscore': {
                'Fscore': (1 + weight) * (precision * recall) / (weight * precision + recall),
                'Precision': precision,
                'Recall': recall,
            },
        }
        values = {'aAcc': np.asarray(right.sum() / true.sum())}
    for metric in metrics:
        values.update(found[metric])
    if nan_to_num is None:
        return values
    return {name: np.nan_to_num(value, nan=nan_to_num) for name, value in values.items()}


def mean_scores(scores: dict[str, np.ndarray]) -> dict[str, float]:
    """``aAcc`` and the means over classes that are not NaN: ``IoU`` becomes ``mIoU``. In percent, two decimals."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # of nothing at all the mean is NaN
        means = {name: percent(np.nanmean(value)) for name, value in scores.items()}
    return {name if name == 'aAcc' else f'm{name}': float(value) for name, value in means.items()}


def percent(fraction: np.ndarray | float) -> np.ndarray:
    """Percent with two decimals, as reports of segmentation give them."""
    return np.round(np.asarray(fraction) * 100, 2)
