"""Runs a recorded schedule: its hooks set the options of an optimizer, stage by stage, and nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from intarsia.config.dialects.one_x.param_scheduler import translate_param_scheduler
from intarsia.config.schedules import policy_hook
from intarsia.core.registries import HOOKS
from intarsia.engine.runner import BaseRunner, EpochBasedRunner, IterBasedRunner
from intarsia.engine.schedule_hooks import schedule_hooks
from intarsia.engine.stage import Stage
from tests.golden.fill import tuples
from tests.golden.outcome import Outcome

TOLERANCE = 1e-9


def run(record: Mapping[str, Any]) -> Outcome:
    """Compare learning rates of two groups, momentum and weight decay at the recorded iterations."""
    fields, missing = _fields(record)
    if missing:
        return Outcome(missing=missing)
    runner = make_runner(record)
    for hook, seat in schedule_hooks(runner, *fields):
        runner.register_hook(hook, seat)
    wanted = dict(zip(record['iters'], record['values'], strict=True))
    worst = 0.0
    for values in steps(runner, record['epoch_length']):
        if runner.iter in wanted:
            pairs = zip(values, wanted[runner.iter], strict=True)
            worst = max(worst, *(abs(a - b) / max(abs(b), 1e-300) if b else abs(a) for a, b in pairs))
    return Outcome(built=True, equal=worst <= TOLERANCE, max_rel=worst)


def _fields(record: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
    """``lr_config``, ``momentum_config`` and ``weight_decay_config``, and the names of what does not exist here."""
    names = ('lr_config', 'momentum_config', 'weight_decay_config')
    if record['gen'] == 1:
        fields, findings = translate_param_scheduler(tuples(record['param_scheduler']))
        return [fields.get(name) for name in names], [f.message for f in findings]
    configs = [tuples(record.get(name)) for name in names]
    suffixes = ('LrUpdaterHook', 'MomentumUpdaterHook')
    hooks = [policy_hook(c['policy'], suffix) for c, suffix in zip(configs[:2], suffixes, strict=True) if c]
    return configs, [hook for hook in hooks if hook not in HOOKS]


def make_runner(record: Mapping[str, Any]) -> BaseRunner:
    """A runner with an optimizer of two groups, the second at a tenth of the rate."""
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    settings = {'type': 'SGD', 'lr': 0.01, **tuples(record['optimizer'])}
    kind = getattr(torch.optim, settings.pop('type'), None)
    if kind is None:  # the recorder knew torch's optimizers by their bare name, and took SGD for the rest
        kind = torch.optim.SGD
        settings = {k: v for k, v in settings.items() if k in ('lr', 'momentum', 'weight_decay')}
    groups = [dict(params=[parameters[0]]), dict(params=[parameters[1]], lr=settings['lr'] / 10)]
    length = {key: (record.get('train_cfg') or record).get(key) for key in ('max_epochs', 'max_iters')}
    length = {key: value for key, value in length.items() if value is not None}
    runner_type = EpochBasedRunner if 'max_epochs' in length else IterBasedRunner
    runner = runner_type(torch.nn.Linear(1, 1), kind(groups, **settings), **length)
    runner.max_iters = length.get('max_iters') or length['max_epochs'] * record['epoch_length']
    return runner


def steps(runner: BaseRunner, epoch_length: int) -> Iterator[tuple[float, float, float, float]]:
    """Go through the stages before every iteration; yield lr of both groups, momentum and weight decay."""
    assert runner.max_iters is not None
    runner.data_loader = range(epoch_length)
    runner.call(Stage.BEFORE_RUN)
    first, second = runner.optimizer.param_groups  # type: ignore[union-attr]
    for done in range(runner.max_iters):
        runner.iter = done
        runner.epoch, runner.inner_iter = divmod(runner.iter, epoch_length)
        if runner.by_epoch and runner.inner_iter == 0:
            runner.call(Stage.BEFORE_TRAIN_EPOCH)
        runner.call(Stage.BEFORE_TRAIN_ITER)
        momentum = first['momentum'] if 'momentum' in first else first['betas'][0]
        yield first['lr'], second['lr'], momentum, first['weight_decay']
