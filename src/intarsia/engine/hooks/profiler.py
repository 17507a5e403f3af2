"""The hook that records what a training spends its time and memory on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import profiler

from intarsia.core.errors import ConfigError, Problem, closest
from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

HANDLERS = ('log_trace', 'tb_trace')


@HOOKS.register_module()
class ProfilerHook(Hook):
    """Profiles the beginning of a run with :mod:`torch.profiler`, in its first process.

    Without any of ``on_trace_ready`` and ``json_trace_path`` the trace is written to ``trace.json`` in the work
    directory. ``chrome://tracing`` and https://ui.perfetto.dev show such files.

    Args:
        by_epoch: Whether ``profile_iters`` counts epochs; None counts what the runner counts.
        profile_iters: How many epochs or iterations are profiled.
        activities: ``'cpu'``, ``'cuda'``; the latter is left out where there is no such device.
        schedule: Arguments of :func:`torch.profiler.schedule` (``wait``, ``warmup``, ``active``, ``repeat``,
            ``skip_first``, in iterations); None records all that is profiled.
        on_trace_ready: What to do with a trace: ``dict(type='log_trace', sort_by=..., row_limit=...)`` logs a table
            with these arguments; ``dict(type='tb_trace', dir_name='tf_tracing_logs')`` writes files for TensorBoard
            below the work directory; the name of one of the two alone; or a function of the profile.
        record_shapes: Whether the shapes of inputs are recorded.
        profile_memory: Whether memory is.
        with_stack: Whether places in source files are.
        with_flops: Whether operations of convolutions and matrix products are counted.
        json_trace_path: File of the trace, relative to the work directory.

    Raises:
        ConfigError: An unknown activity or handler.
    """

    def __init__(
        self,
        by_epoch: bool | None = None,
        profile_iters: int = 1,
        activities: Sequence[str] = ('cpu', 'cuda'),
        schedule: Mapping[str, Any] | None = None,
        on_trace_ready: str | Mapping[str, Any] | Callable[[Any], None] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        json_trace_path: str | None = None,
    ) -> None:
        if profile_iters < 1:
            raise ConfigError(Problem('bad-config', f'profile_iters must be positive, not {profile_iters}.'))
        self.by_epoch = by_epoch
        self.profile_iters = profile_iters
        self.on_trace_ready = {'type': on_trace_ready} if isinstance(on_trace_ready, str) else on_trace_ready
        self.json_trace_path = json_trace_path
        self.options: dict[str, Any] = dict(
            activities=_activities(activities),
            schedule=profiler.schedule(**schedule) if schedule is not None else None,
            record_shapes=record_shapes,
            profile_memory=profile_memory,
            with_stack=with_stack,
            with_flops=with_flops,
        )
        self._check_handler()
        self._profile: Any = None
        self._left = profile_iters
        self._num_traces = 0

    def _check_handler(self) -> None:
        handler = self.on_trace_ready
        if isinstance(handler, Mapping) and handler.get('type') not in HANDLERS:
            name = str(handler.get('type'))
            message = f"on_trace_ready has the type '{name}'; there are {', '.join(HANDLERS)}."
            raise ConfigError(Problem('bad-config', message, suggestion=closest(name, HANDLERS)))

    # ------------------------------------------------------------------ stages

    def before_run(self, runner: BaseRunner) -> None:
        """Start."""
        if self.by_epoch is None:
            self.by_epoch = runner.by_epoch
        if runner.rank == 0:
            self._profile = profiler.profile(on_trace_ready=lambda trace: self._handle(runner, trace), **self.options)
            self._profile.start()

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Count an iteration."""
        if self._profile is not None:
            self._profile.step()
            if not self.by_epoch:
                self._count()

    def after_train_epoch(self, runner: BaseRunner) -> None:
        """Count an epoch."""
        if self.by_epoch:
            self._count()

    def after_run(self, runner: BaseRunner) -> None:
        """Stop, if the run was shorter than what should be profiled."""
        self._stop()

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._stop()

    def _stop(self) -> None:
        profile, self._profile = self._profile, None
        if profile is not None:
            profile.stop()

    # ------------------------------------------------------------------ what becomes of a trace

    def _handle(self, runner: BaseRunner, trace: Any) -> None:
        self._num_traces += 1
        if isinstance(self.on_trace_ready, Mapping):
            self._handle_as_configured(runner, trace, dict(self.on_trace_ready))
        elif self.on_trace_ready is not None:
            self.on_trace_ready(trace)
        if self.json_trace_path is not None or self.on_trace_ready is None:
            file = _below(runner.work_dir, self.json_trace_path or 'trace.json')
            if self._num_traces > 1:  # a schedule that repeats
                file = file.with_stem(f'{file.stem}_{self._num_traces}')
            file.parent.mkdir(parents=True, exist_ok=True)
            trace.export_chrome_trace(str(file))
            runner.logger.info(f'profile written to {file}')

    def _handle_as_configured(self, runner: BaseRunner, trace: Any, handler: dict[str, Any]) -> None:
        if handler.pop('type') == 'log_trace':
            runner.logger.info('profile:\n' + trace.key_averages().table(**handler))
            return
        folder = _below(runner.work_dir, handler.pop('dir_name', 'tf_tracing_logs'))
        profiler.tensorboard_trace_handler(str(folder), **handler)(trace)
        runner.logger.info(f'profile written to {folder}')


def _activities(names: Sequence[str]) -> list[Any]:
    known = {'cpu': profiler.ProfilerActivity.CPU, 'cuda': profiler.ProfilerActivity.CUDA}
    for name in names:
        if name.lower() not in known:
            problem = f"there is no activity '{name}' to profile; there are {', '.join(known)}."
            raise ConfigError(Problem('bad-config', problem, suggestion=closest(name, known)))
    return [known[n.lower()] for n in names if n.lower() == 'cpu' or torch.cuda.is_available()]


def _below(work_dir: Path | None, name: str) -> Path:
    return (work_dir or Path.cwd()) / name
