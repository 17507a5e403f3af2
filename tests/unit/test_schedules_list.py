"""Lists of schedules, against torch's own schedulers, which move values in the same way."""

from __future__ import annotations

import io
import random

import pytest
import torch
from torch.optim import lr_scheduler as torch_schedules

from intarsia.core.errors import ConfigError
from intarsia.engine.schedule_hooks import schedule_hooks
from intarsia.engine.stage import Stage
from intarsia.optim.schedules.chain import Chain
from intarsia.optim.schedules.link import Link, RunLength
from intarsia.optim.schedules.links import CosineAnnealing, Exp, Linear, QuadraticWarmup, Step
from tests.unit.schedule_player import EPOCHS, LENGTH, lrs_of, make_runner, play, sgd

ITERS = EPOCHS * LENGTH


def of_torch(*makers, num_steps=ITERS):
    """Rates of both groups while torch's schedulers step one after the other."""
    optimizer = sgd(0.1, 0.02)
    schedulers = [maker(optimizer) for maker in makers]
    values = []
    for _ in range(num_steps):
        values.append([g['lr'] for g in optimizer.param_groups])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return torch.tensor(values, dtype=torch.float64)


def ours(*links, **run):
    groups = lrs_of(links, sgd(0.1, 0.02), lambda o: [g['lr'] for g in o.param_groups], **run)
    return torch.tensor(groups, dtype=torch.float64)


def by_iter(**link):
    return dict(by_epoch=False, **link)


PAIRS = {
    'Constant': (
        by_iter(policy='Constant', factor=0.3, end=8),
        lambda o: torch_schedules.ConstantLR(o, 0.3, total_iters=7),
    ),
    'Linear': (
        by_iter(policy='Linear', start_factor=0.2, end_factor=0.7, end=9),
        lambda o: torch_schedules.LinearLR(o, 0.2, 0.7, total_iters=8),
    ),
    'Step': (by_iter(policy='Step', step=3, gamma=0.4), lambda o: torch_schedules.StepLR(o, 3, 0.4)),
    'steps': (
        by_iter(policy='step', step=[2, 5, 5], gamma=0.4),
        lambda o: torch_schedules.MultiStepLR(o, [2, 5, 5], 0.4),
    ),
    'Exp': (by_iter(policy='exp', gamma=0.8), lambda o: torch_schedules.ExponentialLR(o, 0.8)),
    'CosineAnnealing': (
        by_iter(policy='CosineAnnealing', length=6, min_value=0.003),
        lambda o: torch_schedules.CosineAnnealingLR(o, 6, 0.003),
    ),
    'Poly': (
        by_iter(policy='Poly', power=1.7, end=ITERS + 1),
        lambda o: torch_schedules.PolynomialLR(o, ITERS, 1.7),
    ),
}


@pytest.mark.parametrize('name', PAIRS)
def test_each_link_is_the_schedule_of_torch(name):
    link, maker = PAIRS[name]
    torch.testing.assert_close(ours(link), of_torch(maker), rtol=1e-12, atol=0)


@pytest.mark.parametrize('seed', range(20))
def test_overlapping_links_are_chained_schedules_of_torch(seed):
    pairs = random.Random(seed).choices(list(PAIRS.values()), k=3)
    got, wanted = ours(*[link for link, _ in pairs]), of_torch(*[maker for _, maker in pairs])
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-18)


def test_links_of_epochs_step_once_an_epoch():
    got = ours(dict(policy='Exp', gamma=0.5), dict(policy='Linear', start_factor=0.5, by_epoch=False, end=3))
    factors = [0.5, 0.75] + [1.0] * (ITERS - 2)
    wanted = [0.1 * factors[i] * 0.5 ** (i // LENGTH) for i in range(ITERS)]
    assert got[:, 0].tolist() == pytest.approx(wanted)


def test_every_iter_counts_epochs_and_moves_at_every_iteration():
    in_epochs = ours(dict(policy='CosineAnnealing', begin=1, every_iter=True, min_ratio=0.1))
    in_iters = ours(by_iter(policy='CosineAnnealing', begin=LENGTH, end=ITERS, min_ratio=0.1))
    assert in_epochs.tolist() == in_iters.tolist()
    steps = [dict(policy='Step', step=[1, 2], every_iter=True), by_iter(policy='Step', step=[LENGTH, 2 * LENGTH])]
    assert ours(steps[0]).tolist() == ours(steps[1]).tolist()


def test_spans_follow_each_other():
    lrs = ours(
        by_iter(policy='Linear', start_factor=0.1, end=6), by_iter(policy='CosineAnnealing', begin=5, length=15)
    )[:, 0]
    assert lrs[0] == pytest.approx(0.01)
    assert lrs[5].item() == pytest.approx(0.1)
    assert lrs[12].item() == pytest.approx(0.1 * (1 + torch.cos(torch.tensor(torch.pi * 7 / 15))).item() / 2)


def test_restarts_quadratic_and_one_cycle():
    restart = ours(by_iter(policy='CosineRestart', periods=[4, 4], restart_weights=[1, 0.5], min_value=0.0))[:, 0]
    assert restart[[0, 2, 4, 6]].tolist() == pytest.approx([0.1, 0.05, 0.05, 0.025])
    assert restart[8:].tolist() == [restart[7].item()] * (ITERS - 8), 'past its periods the value stays'
    quadratic = ours(by_iter(policy='QuadraticWarmup', end=10))[:, 0]
    assert quadratic[:11].tolist() == pytest.approx([0.1 * min(i + 1, 10) ** 2 / 100 for i in range(11)])
    peaks = [0.3, 0.7]
    torch_cycle = of_torch(lambda o: torch_schedules.OneCycleLR(o, peaks, total_steps=ITERS + 1, cycle_momentum=False))
    cycle = ours(by_iter(policy='OneCycle', max_value=peaks, total_steps=ITERS + 1))
    torch.testing.assert_close(cycle, torch_cycle, rtol=1e-12, atol=0)


def test_momentum_and_weight_decay():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], weight_decay=0.2)
    optimizer.add_param_group(dict(params=[torch.nn.Parameter(torch.zeros(1))], weight_decay=0.0))
    runner = make_runner(optimizer)
    halved = [dict(policy='Exp', gamma=0.5)]
    decays = [dict(policy='CosineAnnealing', min_value=0.4, keep_zero=True)]
    for hook, seat in schedule_hooks(runner, None, halved, decays):
        runner.register_hook(hook, seat)
    values = play(runner, lambda o: [(g['betas'], g['weight_decay']) for g in o.param_groups])
    assert values[2 * LENGTH] == [((0.225, 0.999), pytest.approx(0.3)), ((0.225, 0.999), 0.0)]


def test_epochs_never_advance_in_a_run_of_iterations():
    lrs = lrs_of([dict(policy='Exp', gamma=0.5, by_epoch=True), dict(policy='Step', step=2)], max_iters=4)
    assert lrs == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_a_link_for_one_of_several_optimizers():
    runner = make_runner({'a': sgd(), 'b': sgd()})
    for hook, seat in schedule_hooks(runner, [dict(policy='Exp', gamma=0.5, optimizer='b')]):
        runner.register_hook(hook, seat)
    play(runner, lambda _: None)
    assert runner.current_lr() == {'a': [0.1], 'b': [0.0125]}
    runner = make_runner({'discriminator': sgd()})
    runner.register_hook(schedule_hooks(runner, [dict(policy='Exp', gamma=0.5, optimizer='diskriminator')])[0][0])
    with pytest.raises(ConfigError, match="Did you mean 'discriminator'"):
        runner.call(Stage.BEFORE_RUN)


# ---------------------------------------------------------------------- the chain


def chain():
    links = [
        Linear(start_factor=0.1, end=1, every_iter=True, by_epoch=True),
        CosineAnnealing(begin=1, by_epoch=True),
        Exp(0.9, begin=7, end=11, by_epoch=False),
        QuadraticWarmup(end=3, by_epoch=False),
        Step(3, by_epoch=False, begin=12),
    ]
    length = RunLength(EPOCHS, ITERS, LENGTH)
    return Chain([link.fitted(length) for link in links], [0.1, 0.3], LENGTH)


def test_values_are_a_function_of_the_iteration():
    walked = [list(c.at(i)) for c in [chain()] for i in range(ITERS)]
    assert [list(chain().at(i)) for i in range(ITERS)] == walked
    again = chain()
    order = random.Random(0).sample(range(ITERS), ITERS)
    assert {i: list(again.at(i)) for i in order} == dict(enumerate(walked))


def test_nothing_changes_before_the_next_change():
    c, values, quiet = chain(), None, 0
    for i in range(ITERS):
        announced = i >= c.next_change
        new = list(c.at(i))
        assert announced or new == values
        quiet += not announced
        values = new
    assert quiet > 0


def test_a_chain_is_asked_only_when_something_changes():
    class Counting(Link):
        calls = 0

        def step(self, values, bases, position):
            Counting.calls += 1
            return values

    runner = make_runner(sgd(), max_epochs=10, length=100)
    hook = schedule_hooks(runner, [dict(policy='Exp', gamma=0.9)])[0][0]
    hook.links.append(Counting())
    runner.register_hook(hook)
    play(runner)
    assert Counting.calls == 10


# ---------------------------------------------------------------------- plateaus


def evaluate(runner, metric):
    runner.epoch, runner.inner_iter = runner.epoch, LENGTH
    runner.iter, runner.stage, runner.metrics = runner.iter + 1, Stage.AFTER_TRAIN_EPOCH, {'loss': metric}
    runner.hook_list.call(Stage.AFTER_EVALUATION, runner)


def train(runner, metrics, first=0):
    """Rates of all iterations from epoch ``first`` on, with an evaluation after each epoch."""
    runner.call(Stage.BEFORE_RUN)
    lrs = []
    for epoch in range(first, len(metrics)):
        for inner in range(LENGTH):
            runner.epoch, runner.inner_iter, runner.iter = epoch, inner, epoch * LENGTH + inner
            runner.call(Stage.BEFORE_TRAIN_ITER)
            lrs.append(runner.optimizer.param_groups[0]['lr'])
        evaluate(runner, metrics[epoch])
    return lrs


def plateau_runner(optimizer, *links):
    runner = make_runner(optimizer, max_epochs=30)
    runner.register_hook(schedule_hooks(runner, links)[0][0])
    return runner


@pytest.mark.parametrize('seed', range(10))
def test_plateaus_are_those_of_torch(seed):
    rng = random.Random(seed)
    metrics = [rng.random() for _ in range(30)]
    options = dict(factor=0.5, patience=rng.randint(0, 3), threshold=0.01, cooldown=rng.randint(0, 3), eps=1e-8)
    mode, kind = rng.choice(['less', 'greater']), rng.choice(['rel', 'abs'])
    link = dict(policy='ReduceOnPlateau', rule=mode, threshold_rule=kind, min_value=1e-3, **options)
    got = train(plateau_runner(sgd(), link), metrics)
    optimizer = sgd()
    reference = torch_schedules.ReduceLROnPlateau(
        optimizer, {'less': 'min', 'greater': 'max'}[mode], threshold_mode=kind, min_lr=1e-3, **options
    )
    for epoch, metric in enumerate(metrics):
        assert got[epoch * LENGTH : (epoch + 1) * LENGTH] == [optimizer.param_groups[0]['lr']] * LENGTH
        reference.step(metric)


def test_a_resumed_run_is_what_it_would_have_been():
    links = [
        dict(policy='Linear', start_factor=0.1, by_epoch=False, end=7),
        dict(policy='ReduceOnPlateau', patience=1, factor=0.5),
        dict(policy='CosineAnnealing', every_iter=True),
    ]
    rng = random.Random(3)
    metrics = [rng.random() for _ in range(30)]
    whole = train(plateau_runner(sgd(), *links), metrics)
    for stop in (1, 7, 19):
        first = plateau_runner(sgd(), *links)
        train(first, metrics[:stop])
        file = io.BytesIO()
        torch.save((first.optimizer.state_dict(), first.hook_list.state_dict()), file)
        file.seek(0)
        optimizer_state, hooks_state = torch.load(file, weights_only=True)
        second = plateau_runner(sgd(), *links)
        second.optimizer.load_state_dict(optimizer_state)
        second.hook_list.load_state_dict(hooks_state)
        assert train(second, metrics, stop) == whole[stop * LENGTH :]


def test_a_metric_that_does_not_exist_is_named():
    runner = plateau_runner(sgd(), dict(policy='ReduceOnPlateau', monitor='los'))
    with pytest.raises(ConfigError, match="monitors 'los', but the metrics are loss. Did you mean 'loss'"):
        train(runner, [1.0])


@pytest.mark.parametrize(
    ('link', 'text'),
    [
        (dict(policy='Constant', factor=0), 'factor must be positive'),
        (dict(policy='Linear', start_factor=0), 'factors must be positive'),
        (dict(policy='Exp', gamma=0.5, begin=3, end=3), 'must begin at 0 or later and end after it begins'),
        (dict(policy='Exp', gamma=0.5, by_epoch=False, every_iter=True), 'every_iter is for spans that count epochs'),
        (dict(policy='CosineAnnealing', min_value=0, min_ratio=0), 'either min_value or min_ratio'),
        (dict(policy='ReduceOnPlateau', factor=1.0), 'factor must be below 1'),
        (dict(policy='OneCycle', max_value=[1.0, 2.0]), 'has 1 parameter groups, but a schedule has 2 values'),
    ],
)
def test_mistakes_are_explained(link, text):
    with pytest.raises(ValueError, match=text):
        lrs_of([link])
