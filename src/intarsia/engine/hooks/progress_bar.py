"""A live bar on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Shows how far the run is, on the console that also prints the log's lines; seat LOWEST.

    Args:
        console: A ``rich.console.Console``; None makes one on stderr.
        refresh_interval: Iterations between two updates of the bar.
    """

    def __init__(self, console: Any = None, refresh_interval: int = 5) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, transient=True,
        )  # fmt: skip
        self.refresh_interval = refresh_interval

    def before_run(self, runner: BaseRunner) -> None:
        """Show the bar."""
        self.task = self.progress.add_task('training', total=runner.max_iters, completed=runner.iter)
        self.progress.start()

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Move the bar."""
        if self.every_n_iters(runner, self.refresh_interval):
            text = f'epoch {runner.epoch + 1}/{runner.max_epochs}' if runner.max_epochs else 'training'
            self.progress.update(self.task, completed=runner.iter + 1, description=text)

    def after_run(self, runner: BaseRunner) -> None:
        """Take the bar away."""
        self.progress.stop()
