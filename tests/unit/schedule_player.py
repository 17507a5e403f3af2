"""Plays schedules without training: for the tests of schedules."""

from __future__ import annotations

import torch

from intarsia.engine.runner import EpochBasedRunner, IterBasedRunner
from intarsia.engine.schedule_hooks import schedule_hooks
from intarsia.engine.stage import Stage

EPOCHS, LENGTH = 4, 5


def sgd(*lrs, momentum=0.9):
    groups = [dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=lr) for lr in lrs or (0.1,)]
    return torch.optim.SGD(groups, momentum=momentum)


def make_runner(optimizer, max_epochs=EPOCHS, max_iters=None, length=LENGTH):
    model = torch.nn.Linear(1, 1)
    if max_iters:
        runner = IterBasedRunner(model, optimizer, max_iters=max_iters)
    else:
        runner = EpochBasedRunner(model, optimizer, max_epochs=max_epochs)
        runner.max_iters = max_epochs * length
    runner.data_loader = range(length)
    return runner


def play(runner, read=lambda optimizer: optimizer.param_groups[0]['lr']):
    """What ``read`` gives at every iteration."""
    runner.call(Stage.BEFORE_RUN)
    values = []
    for iteration in range(runner.max_iters):
        runner.iter = iteration
        runner.epoch, runner.inner_iter = divmod(runner.iter, len(runner.data_loader))
        if runner.by_epoch and runner.inner_iter == 0:
            runner.call(Stage.BEFORE_TRAIN_EPOCH)
        runner.call(Stage.BEFORE_TRAIN_ITER)
        values.append(read(runner.optimizer))
    return values


def lrs_of(lr_config, optimizer=None, read=None, **run):
    runner = make_runner(optimizer or sgd(), **run)
    for hook, seat in schedule_hooks(runner, lr_config):
        runner.register_hook(hook, seat)
    return play(runner, read) if read else play(runner)


def momenta_of(momentum_config, optimizer=None, **run):
    runner = make_runner(optimizer or sgd(), **run)
    for hook, seat in schedule_hooks(runner, None, momentum_config):
        runner.register_hook(hook, seat)
    return [m[0] for m in play(runner, lambda _: runner.current_momentum())]
