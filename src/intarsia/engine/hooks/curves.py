"""A picture of the run at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.engine.log.figures import draw_curves, new_figure, read_records

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draws losses, metrics and learning rate to ``curves.png`` when the run ends; needs TextLoggerHook.

    Args:
        file_name: Name in the work directory; the suffix is the format (``.png``, ``.svg``, ``.pdf``).

    Raises:
        IntarsiaError: matplotlib is not installed.
    """

    def __init__(self, file_name: str = 'curves.png') -> None:
        new_figure(1, (1, 1))
        self.file_name = file_name

    def after_run(self, runner: BaseRunner) -> None:
        """Draw what was logged, a part too if the run stopped early."""
        if runner.work_dir is None or runner.rank != 0:
            return
        json_log = runner.work_dir / f'{runner.timestamp}.log.json'
        records = read_records(json_log) if json_log.exists() else []
        if records:
            draw_curves(records, runner.work_dir / self.file_name)
            runner.logger.info(f'curves: {runner.work_dir / self.file_name}')
