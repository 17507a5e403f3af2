"""A picture of which classes are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.evaluation import EvalHook
from intarsia.engine.log.figures import new_figure
from intarsia.tasks.classification.metrics.evaluator import ClassificationEvaluator
from intarsia.tasks.classification.visualize import draw_confusion_matrix

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


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
            if isinstance(evaluator, ClassificationEvaluator) and evaluator.confusion_matrix is not None:
                file = runner.work_dir / self.file_name
                draw_confusion_matrix(evaluator.confusion_matrix, runner.model.classes, file)
                runner.logger.info(f'confusion matrix: {file}')
