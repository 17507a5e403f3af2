"""The schedules of a run, played through without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from intarsia.api.data import build_loader
from intarsia.api.place import Place
from intarsia.api.tasks import find_task
from intarsia.config.check import check, located
from intarsia.config.file import ConfigFile
from intarsia.config.optimizer import is_several
from intarsia.config.schedules import SUFFIXES
from intarsia.config.schema import RunConfig, to_run_config
from intarsia.core.errors import ConfigError, Problem
from intarsia.core.registries import RUNNERS
from intarsia.engine.hooks.schedule_list import ScheduleListHook
from intarsia.engine.log.figures import new_figure
from intarsia.engine.runner import BaseRunner
from intarsia.engine.schedule_hooks import schedule_hooks
from intarsia.engine.stage import Stage
from intarsia.optim.build import build_with_params

OPTIONS = {'lr': 'learning rate', 'momentum': 'momentum', 'weight_decay': 'weight decay'}
"""What is played through, and its title."""

FIELDS = ('optimizer', 'runner', 'total_epochs', 'total_iters', 'custom_imports', *SUFFIXES)
"""What of a config that needs."""

WHOLE_FILE = frozenset({'unknown-field', 'other-generation'})
"""Codes of mistakes that may hide one of these fields."""

OWN_VALUES = frozenset({'max_lr', 'max_value', 'min_value', 'base_momentum', 'max_momentum'})
"""Arguments of schedules that may have one value for every parameter group."""


@dataclass
class Curves:
    """Options of the first parameter group of the (first) optimizer at every iteration of a run.

    Attributes:
        iters: Iterations from 0.
        lr: Learning rate at each.
        momentum: Momentum, or the first beta, or 0.
        weight_decay: Weight decay, or 0.
        epoch_length: Iterations of an epoch; None if nothing counts epochs.
        plateaus: What follows a metric, in words; it is drawn as if the metric always became better.
    """

    epoch_length: int | None
    iters: list[int] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    momentum: list[float] = field(default_factory=list)
    weight_decay: list[float] = field(default_factory=list)
    plateaus: list[str] = field(default_factory=list)

    def drawn(self) -> dict[str, Sequence[float]]:
        """By title what is worth drawing: learning rate and momentum, and weight decay if it changes."""
        series = {title: getattr(self, option) for option, title in OPTIONS.items()}
        if len(set(self.weight_decay)) < 2:
            del series[OPTIONS['weight_decay']]
        return series


def play_schedules(config: ConfigFile, epoch_length: int | None = None) -> Curves:
    """Play the schedules of a run through.

    Args:
        config: As read, with the command line's values applied.
        epoch_length: Iterations of an epoch; then neither model nor data are needed. By default the data set is built
            to know it, if anything counts epochs.

    Raises:
        ConfigError: The config has mistakes; with ``epoch_length`` only those count that concern schedules.
    """
    problems = check(config, files=epoch_length is None)
    if epoch_length is not None:
        problems = [
            p for p in problems if p.path.split('.')[0] in FIELDS or p.code in ('unknown-field', 'other-generation')
        ]
    if problems:
        raise ConfigError(problems)
    run = to_run_config(config.values)
    try:
        _need(run)
        if epoch_length is None and _counts_epochs(run):
            task = find_task(run.model, run.task)
            epoch_length = len(build_loader(run, 'train', task, Place(torch.device('cpu')), 0))
        return _play(run, epoch_length)
    except ConfigError as error:
        raise located(error, config) from error


def draw_schedules(curves: Curves, file: Path) -> None:
    """Draw them into a picture.

    Args:
        curves: From :func:`play_schedules`.
        file: ``.png``, ``.svg`` or ``.pdf``.
    """
    series = curves.drawn()
    figure, axes = new_figure(len(series), (4.6 * len(series), 3.4))
    for ax, (title, values) in zip(axes, series.items(), strict=True):
        ax.plot(curves.iters, values, linewidth=1.4)
        ax.set_title(title)
        ax.set_xlabel('iteration' if curves.epoch_length is None else f'iteration ({curves.epoch_length} an epoch)')
        ax.grid(alpha=0.3)
    if curves.plateaus:
        figure.supxlabel('\n'.join(curves.plateaus), fontsize=8)
    figure.savefig(file, dpi=130)


def _need(run: RunConfig) -> None:
    missing = [name for name in ('optimizer', 'runner') if getattr(run, name) is None]
    if run.runner is not None and not (run.runner.max_epochs or run.runner.max_iters):
        missing.append('runner.max_epochs')
    if missing:
        raise ConfigError([Problem('missing-field', f"schedules need '{name}'.", name) for name in missing])


def _schedules(run: RunConfig) -> Iterator[Mapping[str, Any]]:
    """Every schedule of a run, single or of a list."""
    for name in SUFFIXES:
        schedule = getattr(run, name)
        yield from [schedule] if isinstance(schedule, Mapping) else schedule or ()


def _counts_epochs(run: RunConfig) -> bool:
    assert run.runner is not None
    words = ('by_epoch', 'warmup_by_epoch', 'every_iter')
    return run.runner.max_epochs is not None or any(s.get(word) for s in _schedules(run) for word in words)


def _play(run: RunConfig, epoch_length: int | None) -> Curves:
    runner = _make_runner(run, epoch_length)
    curves = Curves(epoch_length)
    for hook, seat in schedule_hooks(runner, *(getattr(run, name) for name in SUFFIXES)):
        runner.register_hook(hook, seat)
        if isinstance(hook, ScheduleListHook):
            curves.plateaus += [
                f'{OPTIONS[hook.option]}: ReduceOnPlateau follows {link.monitor}, drawn as constant'
                for link in hook.plateaus
            ]
    optimizers = runner.optimizer
    first = next(iter(optimizers.values())) if isinstance(optimizers, dict) else optimizers
    assert first is not None
    group = first.param_groups[0]
    for iteration in _iterations(runner):
        curves.iters.append(iteration)
        curves.lr.append(float(group['lr']))
        curves.momentum.append(group['momentum'] if 'momentum' in group else group.get('betas', (0.0,))[0])
        curves.weight_decay.append(group.get('weight_decay', 0.0))
    return curves


def _make_runner(run: RunConfig, epoch_length: int | None) -> BaseRunner:
    """A runner whose model and data are nothing."""
    assert run.optimizer is not None
    assert run.runner is not None
    own = [s[name] for s in _schedules(run) for name in OWN_VALUES & s.keys()]
    count = max((len(values) for values in own if isinstance(values, (list, tuple))), default=1)
    nodes = run.optimizer if is_several(run.optimizer) else {'': run.optimizer}
    optimizers = {
        name: build_with_params(
            {k: v for k, v in node.items() if k not in ('constructor', 'paramwise_cfg')},
            [dict(params=[torch.nn.Parameter(torch.zeros(1))]) for _ in range(count)],
        )
        for name, node in nodes.items()
    }
    length = {k: v for k, v in (('max_epochs', run.runner.max_epochs), ('max_iters', run.runner.max_iters)) if v}
    runner: BaseRunner = RUNNERS.get(run.runner.type)(
        torch.nn.Linear(1, 1), optimizer=optimizers.get('', optimizers), **length
    )
    runner.data_loader = range(epoch_length or 1)
    if runner.max_epochs is not None:
        runner.max_iters = runner.max_epochs * len(runner.data_loader)
    return runner


def _iterations(runner: BaseRunner) -> Iterator[int]:
    """Go through the stages that schedules see."""
    runner.call(Stage.BEFORE_RUN)
    assert runner.max_iters is not None
    for iteration in range(runner.max_iters):
        runner.iter = iteration
        runner.epoch, runner.inner_iter = divmod(runner.iter, len(runner.data_loader))
        if runner.by_epoch and runner.inner_iter == 0:
            runner.call(Stage.BEFORE_TRAIN_EPOCH)
        runner.call(Stage.BEFORE_TRAIN_ITER)
        yield iteration
