"""Runs a recorded schedule: the hook sets the rates of an optimizer, stage by stage, and nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from intarsia.config.check import policy_hook
from intarsia.core.registries import HOOKS
from intarsia.engine.runner import BaseRunner, EpochBasedRunner, IterBasedRunner
from intarsia.engine.stage import Stage
from tests.golden.fill import tuples
from tests.golden.outcome import Outcome

TOLERANCE = 1e-9


def run(record: Mapping[str, Any]) -> Outcome:
    """Compare learning rates (and momentum and decay, which stay) at the recorded iterations."""
    missing = _missing(record)
    if missing:
        return Outcome(missing=missing)
    runner = _make_runner(record)
    wanted = dict(zip(record['iters'], record['values'], strict=True))
    worst = 0.0
    for values in _steps(runner, record['epoch_length']):
        if runner.iter in wanted:
            pairs = zip(values, wanted[runner.iter], strict=True)
            worst = max(worst, *(abs(a - b) / max(abs(b), 1e-300) if b else abs(a) for a, b in pairs))
    return Outcome(built=True, equal=worst <= TOLERANCE, max_rel=worst)


def _missing(record: Mapping[str, Any]) -> list[str]:
    if record['gen'] == 1:
        return ['param_scheduler']
    hooks = []
    for name, suffix in (('lr_config', 'LrUpdaterHook'), ('momentum_config', 'MomentumUpdaterHook')):
        if record.get(name):
            hooks.append(policy_hook(record[name]['policy'], suffix))
    return [hook for hook in hooks if hook not in HOOKS]


def _make_runner(record: Mapping[str, Any]) -> BaseRunner:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    settings = {'type': 'SGD', 'lr': 0.01, **tuples(record['optimizer'])}
    kind = getattr(torch.optim, settings.pop('type'))
    groups = [dict(params=[parameters[0]]), dict(params=[parameters[1]], lr=settings['lr'] / 10)]
    by_epoch = record['max_epochs'] is not None
    runner_type = EpochBasedRunner if by_epoch else IterBasedRunner
    length = dict(max_epochs=record['max_epochs']) if by_epoch else dict(max_iters=record['max_iters'])
    runner = runner_type(torch.nn.Linear(1, 1), kind(groups, **settings), **length)
    runner.max_iters = runner.max_iters or record['max_epochs'] * record['epoch_length']
    config = tuples(record['lr_config'])
    if not by_epoch:
        config.setdefault('by_epoch', False)
    runner.register_hook(HOOKS.build({'type': policy_hook(config.pop('policy'), 'LrUpdaterHook'), **config}))
    return runner


def _steps(runner: BaseRunner, epoch_length: int) -> Any:
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
