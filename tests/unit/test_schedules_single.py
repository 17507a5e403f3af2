"""Single schedules: sequences of the older toolboxes, torch's own schedulers, warm-ups, users' own."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from intarsia.core.errors import IntarsiaError
from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.lr_updater import LrUpdaterHook
from intarsia.engine.hooks.momentum_updater import MomentumUpdaterHook
from intarsia.engine.schedule_hooks import schedule_hooks
from intarsia.engine.stage import Stage
from tests.unit.schedule_player import EPOCHS, LENGTH, lrs_of, make_runner, momenta_of, play, sgd

REFERENCE = {
    'linear warm-up': (dict(policy='fixed', warmup='linear', warmup_iters=3), [0.01, 0.04, 0.07, 0.1, 0.1]),
    'constant warm-up': (dict(policy='fixed', warmup='constant', warmup_iters=3), [0.01, 0.01, 0.01, 0.1]),
    'exp warm-up': (dict(policy='fixed', warmup='exp', warmup_iters=3), [0.01, 0.0215443469, 0.0464158883, 0.1]),
    'poly, warm-up': (
        dict(policy='poly', power=0.9, min_lr=1e-4, by_epoch=False, warmup='linear', warmup_iters=5),
        [0.01, 0.026738, 0.0418427, 0.0553, 0.0670952, 0.0772118],
    ),
    'cyclic': (dict(policy='cyclic'), [0.1, 0.1343, 0.2318, 0.3778, 0.55, 0.7222, 0.8682, 0.9657, 1.0, 0.983]),
    'OneCycle': (dict(policy='OneCycle', max_lr=0.1), [0.004] + [None] * 4 + [0.1] + [None] * 13 + [4e-7]),
}


@pytest.mark.parametrize('name', REFERENCE)
def test_sequences_by_iteration(name):
    config, wanted = REFERENCE[name]
    for value, reference in zip(lrs_of(config), wanted, strict=False):
        assert reference is None or value == pytest.approx(reference, rel=5e-4)


BY_EPOCH = {
    'step list': (dict(policy='step', step=[1, 3]), [0.1, 0.01, 0.01, 0.001]),
    'step number': (dict(policy='step', step=2, gamma=0.5, min_lr=0.06), [0.1, 0.1, 0.06, 0.06]),
    'exp': (dict(policy='exp', gamma=0.5), [0.1, 0.05, 0.025, 0.0125]),
    'poly': (dict(policy='poly', power=0.9, min_lr=1e-4), [0.1, 0.07721, 0.05364, 0.02879]),
    'inv': (dict(policy='inv', gamma=1, power=0.5), [0.1, 0.1 / 2**0.5, 0.1 / 3**0.5, 0.05]),
    'cosine': (dict(policy='CosineAnnealing', min_lr=0), [0.1, 0.0853553, 0.05, 0.0146447]),
    'linear': (dict(policy='LinearAnnealing', min_lr=0), [0.1, 0.075, 0.05, 0.025]),
    'flat cosine': (dict(policy='FlatCosineAnnealing', min_lr_ratio=0.5, start_percent=0.5), [0.1, 0.1, 0.1, 0.075]),
    'restart': (
        dict(policy='CosineRestart', periods=[2, 2], restart_weights=[1, 0.5], min_lr=0.02),
        [0.1, 0.06, 0.02 + 0.5 * 0.08, 0.02 + 0.25 * 0.08],
    ),
    'cooldown': (
        dict(policy='CosineAnnealingCooldown', min_lr=0.02, cool_down_time=2, cool_down_ratio=0.5),
        [0.1, 0.06, 0.02, 0.01],
    ),
    'TIN': (dict(policy='TIN', min_lr=0.02), [0.1, 0.1 - 0.08 * (1 - 0.5**0.5) / 2, 0.06, 0.02 + 0.08 * (1 - 0.5**0.5) / 2]),
    'table': (dict(policy='RelativeStep', steps=[1, 3], lrs=[0.3, 0.2]), [0.3, 0.2, 0.2, 0.2]),
    'table, warm-up': (
        dict(policy='RelativeStep', steps=[1, 3], lrs=[0.3, 0.2], warmup_epochs=2, warmuplr_start=0.1),
        [0.1, 0.2, 0.3, 0.2],
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', BY_EPOCH)
def test_sequences_by_epoch(name):
    config, wanted = BY_EPOCH[name]
    values = lrs_of(config)
    assert values[::LENGTH] == pytest.approx(wanted, rel=2e-4)
    assert all(values[i] == values[i - i % LENGTH] for i in range(len(values)))


@pytest.mark.parametrize('three_phase', [False, True])
@pytest.mark.parametrize('strategy', ['cos', 'linear'])
def test_one_cycle_is_that_of_torch(three_phase, strategy):
    options = dict(max_lr=[0.3, 0.7], pct_start=0.4, div_factor=10, final_div_factor=50, three_phase=three_phase)
    optimizer = sgd(0.1, 0.2)
    torch_cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, total_steps=20, anneal_strategy=strategy, cycle_momentum=True, base_momentum=0.8, **options
    )
    wanted = []
    for _ in range(20):
        wanted.append([(g['lr'], g['momentum']) for g in optimizer.param_groups])
        optimizer.step()
        if len(wanted) < 20:
            torch_cycle.step()
    runner = make_runner(sgd(0.1, 0.2))
    lr = dict(policy='OneCycle', anneal_strategy=strategy, **options)
    momentum = dict(
        policy='OneCycle', base_momentum=0.8, pct_start=0.4, three_phase=three_phase, anneal_strategy=strategy
    )
    for hook, seat in schedule_hooks(runner, lr, momentum):
        runner.register_hook(hook, seat)
    got = play(runner, lambda o: [(g['lr'], g['momentum']) for g in o.param_groups])
    assert torch.tensor(got).allclose(torch.tensor(wanted), rtol=1e-6)


def test_every_group_and_every_optimizer_starts_from_its_own_rate():
    optimizers = {'a': sgd(1.0, 0.1), 'b': torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.01)}
    runner = make_runner(optimizers)
    for hook, seat in schedule_hooks(runner, dict(policy='exp', gamma=0.5), dict(policy='step', step=1, gamma=0.5)):
        runner.register_hook(hook, seat)
    play(runner, lambda _: None)
    assert runner.current_lr() == {'a': [0.125, pytest.approx(0.0125)], 'b': [pytest.approx(0.00125)]}
    assert runner.current_momentum() == {'a': [pytest.approx(0.9 / 8)] * 2, 'b': [pytest.approx(0.9 / 8)]}
    assert optimizers['b'].param_groups[0]['betas'][1] == 0.999


def test_warm_up_divides_the_momentum():
    config = dict(policy='step', step=100, warmup='linear', warmup_iters=2, warmup_ratio=0.5, by_epoch=False)
    assert momenta_of(config)[:3] == pytest.approx([0.9 / 0.5, 0.9 / 0.75, 0.9])


def test_cycles_of_the_momentum_shrink():
    config = dict(policy='cyclic', target_ratio=(0.5, 1.0), cyclic_times=2, step_ratio_up=0.5, gamma=0.5)
    momenta = momenta_of(config)
    assert momenta[5] == pytest.approx(0.45)
    assert momenta[10] == pytest.approx(0.9)
    assert momenta[15] == pytest.approx(0.675)


def test_warm_up_by_epoch_counts_the_loader_also_in_a_run_of_iterations():
    config = dict(policy='fixed', warmup='linear', warmup_iters=2, warmup_by_epoch=True, warmup_ratio=0.5)
    by_epoch, by_iteration = lrs_of(config), lrs_of(config, max_iters=20)
    assert by_epoch == by_iteration
    assert by_epoch[0] == 0.05
    assert by_epoch[9] < by_epoch[10] == 0.1


def test_a_run_of_iterations_counts_iterations_unless_told_otherwise():
    assert lrs_of(dict(policy='exp', gamma=0.5), max_iters=3) == [0.1, 0.05, 0.025]
    assert lrs_of(dict(policy='exp', gamma=0.5, by_epoch=True), max_iters=3) == [0.1] * 3
    assert momenta_of(dict(policy='step', step=1), max_iters=3) == pytest.approx([0.9, 0.45, 0.225])


def test_an_optimizer_that_was_loaded_in_mid_run_is_found():
    optimizer = sgd()
    runner = make_runner(optimizer)
    for hook, seat in schedule_hooks(runner, dict(policy='exp', gamma=0.5)):
        runner.register_hook(hook, seat)
    play(runner)
    optimizer.load_state_dict(optimizer.state_dict())
    runner.hook_list.call(Stage.AFTER_LOAD_CHECKPOINT, runner)
    runner.epoch = 1
    runner.call(Stage.BEFORE_TRAIN_EPOCH)
    assert optimizer.param_groups[0]['lr'] == 0.05


# ---------------------------------------------------------------------- users' own


@pytest.fixture
def registered():
    """Register a class for one test."""
    before = dict(HOOKS._components)
    yield HOOKS.register_module()
    HOOKS._components.clear()
    HOOKS._components.update(before)


@pytest.mark.parametrize('wants_runner', [True, False])
def test_the_table_of_the_tutorial(registered, wants_runner, caplog):
    class Base(LrUpdaterHook):
        def get_lr(self, runner, base_lr):
            progress = runner.epoch if self.by_epoch else runner.iter
            for i in range(len(self.steps)):
                if progress < self.steps[i]:
                    return self.lrs[i]
            return None

    if wants_runner:

        class RelativeStepLrUpdaterHook(Base):
            def __init__(self, runner, steps, lrs, **kwargs):
                super().__init__(**kwargs)
                self.steps, self.lrs = steps, lrs
                assert runner.max_epochs == EPOCHS
    else:

        class RelativeStepLrUpdaterHook(Base):
            def __init__(self, steps, lrs, **kwargs):
                super().__init__(**kwargs)
                self.steps, self.lrs = steps, lrs

    registered(RelativeStepLrUpdaterHook)
    logging.getLogger('intarsia').propagate = True
    with caplog.at_level('WARNING', 'intarsia'):
        values = lrs_of(dict(policy='RelativeStep', steps=[1, 2], lrs=[0.3, 0.2]))
    assert values[::LENGTH] == [0.3, 0.2, 0.2, 0.2], 'past its end the last rate stays'
    assert caplog.text.count('gives no lr at epoch 2; the last one is kept') == 1


def test_own_momentum_and_type_instead_of_policy(registered):
    @registered
    class HalfMomentumUpdaterHook(MomentumUpdaterHook):
        def get_momentum(self, runner, base_momentum):
            return base_momentum / 2

    assert momenta_of(dict(policy='half'))[0] == momenta_of(dict(policy='Half'))[0] == 0.45
    assert momenta_of(dict(type='HalfMomentumUpdaterHook'))[0] == 0.45
    assert momenta_of(HalfMomentumUpdaterHook())[0] == 0.45


def test_a_class_without_a_rate_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match=r'LrUpdaterHook has no get_lr\(runner, base_lr\)'):
        lrs_of(LrUpdaterHook())


# ---------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ('config', 'text'),
    [
        (dict(policy='fixed', warmup='slow', warmup_iters=1), "'constant', 'linear' or 'exp'"),
        (dict(policy='fixed', warmup='linear'), 'warmup_iters must be positive'),
        (dict(policy='fixed', warmup='linear', warmup_iters=1, warmup_ratio=2), 'warmup_ratio'),
        (dict(policy='step', step=[0]), 'step must be a positive number'),
        (dict(policy='CosineAnnealing'), 'give either min_lr or min_lr_ratio'),
        (dict(policy='CosineRestart', periods=[3], min_lr=0), r'lasts 4 epochs, but the periods of CosineRestart 3'),
        (dict(policy='CosineRestart', periods=[3, 1], min_lr=0), 'there are 2 and 1'),
        (dict(policy='cyclic', by_epoch=True), 'follows iterations'),
        (dict(policy='cyclic', cyclic_times=50), 'a run of 20 iterations cannot have 50 cycles'),
        (dict(policy='OneCycle', max_lr=[1.0, 2.0]), 'SGD has 1 parameter groups, but there are 2 values'),
        (dict(policy='OneCycle', max_lr=1.0, total_steps=3), 'the run lasts 20 iterations'),
        (dict(policy='RelativeStep', steps=[1], lrs=[]), 'each of steps needs one of lrs'),
    ],
)
def test_mistakes_are_explained(config, text):
    with pytest.raises(ValueError, match=text):
        lrs_of(config)


def test_an_optimizer_without_momentum_cannot_have_it_scheduled():
    optimizer = torch.optim.Adagrad([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(IntarsiaError, match='no such option. It has: lr'):
        momenta_of(dict(policy='step', step=1), optimizer)


def test_the_rate_is_not_touched_between_epochs():
    optimizer = sgd()
    runner = make_runner(optimizer)
    for hook, seat in schedule_hooks(runner, dict(policy='exp', gamma=0.5, warmup='linear', warmup_iters=2)):
        runner.register_hook(hook, seat)
    runner.call(Stage.BEFORE_RUN)
    runner.call(Stage.BEFORE_TRAIN_EPOCH)
    optimizer.param_groups[0]['lr'] = math.pi
    runner.iter = 3
    runner.call(Stage.BEFORE_TRAIN_ITER)
    assert optimizer.param_groups[0]['lr'] == math.pi
