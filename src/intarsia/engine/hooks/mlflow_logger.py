"""Records for MLflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.logger import LoggerHook, import_tracker

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class MlflowLoggerHook(LoggerHook):
    """Logs to MLflow, in the active run or, if there is none, in a new one.

    Args:
        exp_name: Experiment, made if it does not exist; None is the active one.
        tags: Tags of the run.
        params: Parameters of the run.
        log_model: Whether the model is stored with the run at the end.
        interval: Iterations between two records.
        ignore_last: Leave out the iterations of an epoch that do not fill an interval.
        reset_flag: Clear the record after logging it.
        by_epoch: Whether records count epochs; None counts what the runner counts.

    Raises:
        IntarsiaError: The library is not installed.
    """

    def __init__(
        self,
        exp_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        log_model: bool = True,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool | None = None,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.mlflow = import_tracker('mlflow', 'track-mlflow')
        self.mlflow_pytorch = import_tracker('mlflow.pytorch', 'track-mlflow') if log_model else None
        self.exp_name = exp_name
        self.tags = dict(tags or {})
        self.params = dict(params or {})
        self._has_begun_run = False

    def before_run(self, runner: BaseRunner) -> None:
        """Open the run."""
        super().before_run(runner)
        if runner.rank != 0:
            return
        if self.exp_name is not None:
            self.mlflow.set_experiment(self.exp_name)
        if self.mlflow.active_run() is None:
            self.mlflow.start_run()
            self._has_begun_run = True
        if self.tags:
            self.mlflow.set_tags(self.tags)
        if self.params:
            self.mlflow.log_params(self.params)

    def log(self, runner: BaseRunner) -> None:
        """Send every number of the record; characters that MLflow refuses in names become ``_``."""
        tags = {re.sub(r'[^\w\-. /]', '_', tag): value for tag, value in self.scalars(runner).items()}
        self.mlflow.log_metrics(tags, step=self.get_iter(runner))

    def after_run(self, runner: BaseRunner) -> None:
        """Store the model, and close a run that was opened here."""
        if runner.rank != 0:
            return
        if self.mlflow_pytorch is not None:
            requirements = [f'torch=={torch.__version__}']
            self.mlflow_pytorch.log_model(runner.model, 'models', pip_requirements=requirements)
        if self._has_begun_run:
            self.mlflow.end_run()
