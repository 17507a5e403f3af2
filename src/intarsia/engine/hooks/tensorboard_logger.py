"""Records for TensorBoard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.logger import LoggerHook, import_tracker

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class TensorboardLoggerHook(LoggerHook):
    """Writes scalars to ``tf_logs`` in the work directory.

    Args:
        log_dir: Folder; None is ``WORK_DIR/tf_logs``.
        interval: Iterations between two records.
        ignore_last: Leave out the iterations of an epoch that do not fill an interval.
        reset_flag: Clear the record after logging it.
        by_epoch: Whether records count epochs; None counts what the runner counts.

    Raises:
        IntarsiaError: TensorBoard is not installed.
    """

    def __init__(
        self,
        log_dir: str | None = None,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool | None = None,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.tensorboard = import_tracker('torch.utils.tensorboard', 'track-tensorboard')
        self.log_dir = log_dir

    def before_run(self, runner: BaseRunner) -> None:
        """Open the event file."""
        super().before_run(runner)
        self.writer: Any = None
        if runner.rank == 0:
            assert self.log_dir or runner.work_dir is not None, 'TensorBoard needs a folder'
            self.writer = self.tensorboard.SummaryWriter(self.log_dir or str(runner.work_dir / 'tf_logs'))  # type: ignore[operator]

    def log(self, runner: BaseRunner) -> None:
        """Write every number of the record."""
        for tag, value in self.scalars(runner).items():
            self.writer.add_scalar(tag, value, self.get_iter(runner))

    def after_run(self, runner: BaseRunner) -> None:
        """Close the event file."""
        if self.writer is not None:
            self.writer.close()
