"""Records for ClearML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.logger import LoggerHook, import_tracker

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class ClearMLLoggerHook(LoggerHook):
    """Logs to ClearML.

    Args:
        init_kwargs: Arguments of ``clearml.Task.init``: ``dict(project_name=..., task_name=...)``.
        interval: Iterations between two records.
        ignore_last: Leave out the iterations of an epoch that do not fill an interval.
        reset_flag: Clear the record after logging it.
        by_epoch: Whether records count epochs; None counts what the runner counts.

    Raises:
        IntarsiaError: The library is not installed.
    """

    def __init__(
        self,
        init_kwargs: Mapping[str, Any] | None = None,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool | None = None,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.clearml = import_tracker('clearml', 'track-clearml')
        self.init_kwargs = dict(init_kwargs or {})
        self.task: Any = None

    def before_run(self, runner: BaseRunner) -> None:
        """Open the task."""
        super().before_run(runner)
        if runner.rank == 0:
            self.task = self.clearml.Task.init(**self.init_kwargs)
            self.task_logger = self.task.get_logger()

    def log(self, runner: BaseRunner) -> None:
        """Send every number of the record."""
        for tag, value in self.scalars(runner).items():
            self.task_logger.report_scalar(tag, tag, value, self.get_iter(runner))

    def after_run(self, runner: BaseRunner) -> None:
        """Close the task."""
        if self.task is not None:
            self.task.close()
