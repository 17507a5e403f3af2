"""Records for Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from intarsia.core.errors import ConfigError, Problem, closest
from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.logger import LoggerHook, import_tracker

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

SUMMARIES = ('min', 'max', 'mean', 'best', 'last', 'none')


@HOOKS.register_module()
class WandbLoggerHook(LoggerHook):
    """Logs to Weights & Biases.

    Args:
        init_kwargs: Arguments of ``wandb.init``: ``dict(project=..., name=...)``. ``dir`` is the work directory.
        interval: Iterations between two records.
        ignore_last: Leave out the iterations of an epoch that do not fill an interval.
        reset_flag: Clear the record after logging it.
        commit: Whether a record is sent at once, as a step of its own.
        by_epoch: Whether records count epochs; None counts what the runner counts.
        with_step: Whether the iteration is the step of a record; otherwise it is its value ``global_step``.
        log_artifact: Whether files of the work directory are uploaded at the end.
        out_suffix: Ends of the names of these files.
        define_metric_cfg: Name of a metric to how its values are summed up: ``min``, ``max``, ``mean``, ``best``,
            ``last``, ``none``.

    Raises:
        IntarsiaError: The library is not installed.
        ConfigError: An unknown summary.
    """

    def __init__(
        self,
        init_kwargs: Mapping[str, Any] | None = None,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        commit: bool = True,
        by_epoch: bool | None = None,
        with_step: bool = True,
        log_artifact: bool = True,
        out_suffix: str | Sequence[str] = ('.log.json', '.log', '.py'),
        define_metric_cfg: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.wandb = import_tracker('wandb', 'track-wandb')
        self.init_kwargs = dict(init_kwargs or {})
        self.commit = commit
        self.with_step = with_step
        self.log_artifact = log_artifact
        self.out_suffix = (out_suffix,) if isinstance(out_suffix, str) else tuple(out_suffix)
        self.define_metric_cfg = dict(define_metric_cfg or {})
        for metric, summary in self.define_metric_cfg.items():
            if summary not in SUMMARIES:
                message = f"'{metric}' cannot be summed up by '{summary}'; there are {', '.join(SUMMARIES)}."
                raise ConfigError(
                    Problem('bad-config', message, 'define_metric_cfg', suggestion=closest(summary, SUMMARIES))
                )

    def before_run(self, runner: BaseRunner) -> None:
        """Open the run."""
        super().before_run(runner)
        if runner.rank != 0:
            return
        folder = {} if runner.work_dir is None else {'dir': str(runner.work_dir)}
        self.wandb.init(**{**folder, **self.init_kwargs})
        for metric, summary in self.define_metric_cfg.items():
            self.wandb.define_metric(metric, summary=summary)

    def log(self, runner: BaseRunner) -> None:
        """Send every number of the record."""
        tags, iteration = self.scalars(runner), self.get_iter(runner)
        if self.with_step:
            self.wandb.log(tags, step=iteration, commit=self.commit)
        else:
            self.wandb.log({**tags, 'global_step': iteration}, commit=self.commit)

    def after_run(self, runner: BaseRunner) -> None:
        """Upload files, and close the run."""
        if runner.rank != 0:
            return
        if self.log_artifact and runner.work_dir is not None:
            artifact = self.wandb.Artifact(name='artifacts', type='model')
            for file in sorted(runner.work_dir.rglob('*')):
                if file.name.endswith(self.out_suffix) and 'wandb' not in file.relative_to(runner.work_dir).parts:
                    artifact.add_file(str(file))
            self.wandb.log_artifact(artifact)
        self.wandb.finish()
