"""A picture of which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.evaluation import EvalHook
from intarsia.engine.log.figures import new_figure
from intarsia.engine.metrics.score_evaluator import ScoreEvaluator

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

MAX_NAMED = 30
"""With more classes the matrix has no names and numbers."""


@HOOKS.register_module()
class ConfusionMatrixHook(Hook):
    """Draws the confusion matrix of the last evaluation to ``confusion_matrix.png`` when the run ends.

    Args:
        file_name: Name in the work directory; the suffix is the format.

    Raises:
        IntarsiaError: matplotlib is not installed.
    """

    def __init__(self, file_name: str = 'confusion_matrix.png') -> None:
        new_figure(1, (1, 1))
        self.file_name = file_name

    def after_run(self, runner: BaseRunner) -> None:
        """Draw, if the run was evaluated."""
        evaluators = [hook.evaluator for hook in runner.hooks if isinstance(hook, EvalHook)]
        if runner.work_dir is None or not runner.metrics:
            return
        for evaluator in evaluators:
            if isinstance(evaluator, ScoreEvaluator) and evaluator.confusion_matrix is not None:
                file = runner.work_dir / self.file_name
                draw_confusion_matrix(evaluator.confusion_matrix, runner.model.classes, file)
                runner.logger.info(f'confusion matrix: {file}')


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
