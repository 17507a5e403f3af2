from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from intarsia.core.errors import CheckpointError, ConfigError
from intarsia.engine.averaging import AverageOfWeights, exponential
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.checkpoint import CheckpointHook
from intarsia.engine.hooks.ema import EMAHook
from intarsia.engine.hooks.evaluation import EvalHook
from intarsia.engine.hooks.optimizer import OptimizerHook
from intarsia.engine.runner import EpochBasedRunner, IterBasedRunner


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.bn = nn.Linear(4, 2), nn.BatchNorm1d(2)

    def train_step(self, batch, optimizer=None):
        loss = self.bn(self.fc(batch)).sin().sum() + self.fc.weight.square().sum()
        return dict(loss=loss, log_vars={'loss': loss.detach()}, num_samples=len(batch))

    val_step = train_step

    def predict(self, inputs, metas=None):
        return list(self.fc(inputs))


class Loader(list):
    world_size = 1


class SumOfOutputs:
    """An evaluator that gives the weights away."""

    def reset(self):
        self.total = 0.0

    def update(self, results, batch):
        self.total += float(sum(r.sum() for r in results))

    def compute(self):
        return {'acc': self.total}

    def table(self):
        return ''

    def state(self):
        return self.total


def make(runner_type=EpochBasedRunner, work_dir=None, ema=None, seat='ABOVE_NORMAL', **length):
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    runner = runner_type(model, optimizer, work_dir, logging.getLogger('test'), seed=0, **length)
    runner.register_hook(OptimizerHook(), 'ABOVE_NORMAL')
    hook = EMAHook(**(ema or {}))
    runner.register_hook(hook, seat)
    return runner, hook


def batches(n=5):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 4, generator=generator) for _ in range(n)]


def trace(ema, num_iters=30):
    """Weights after every iteration (the initial ones first), and averages after every iteration."""
    weights, averages = [], []

    class Recorder(Hook):
        def after_train_iter(self, runner):
            weights.append(runner.model.fc.weight.detach().clone())
            averages.append(hook.average.beside()['fc.weight'].clone())

    runner, hook = make(IterBasedRunner, ema=ema, max_iters=num_iters)
    first = runner.model.fc.weight.detach().clone()
    runner.register_hook(Recorder())
    runner.run([batches()])
    return [first, *weights], averages


def copied_then(share):
    def formula(weights):
        average, result = None, []
        for step, w in enumerate(weights[1:]):
            w = w.double()
            average = w if step == 0 else average + share(step) * (w - average)
            result.append(average)
        return result

    return formula


def warmed_up(momentum, warm_up):
    def formula(weights):
        average, result = weights[0].double(), []
        for step, w in enumerate(weights[1:]):
            m = min(momentum, (1 + step) / (warm_up + step))
            average = (1 - m) * average + m * w.double()
            result.append(average)
        return result

    return formula


@pytest.mark.parametrize(
    ('ema', 'formula'),
    [
        (dict(momentum=0.3, warm_up=10), warmed_up(0.3, 10)),
        (dict(ema_type='ExponentialMovingAverage', momentum=0.05), copied_then(lambda step: 0.05)),
        (dict(ema_type='MomentumAnnealingEMA', gamma=7, momentum=0.3), copied_then(lambda s: max(0.3, 7 / (7 + s)))),
        (
            dict(ema_type='ExpMomentumEMA', gamma=9, momentum=0.1),
            copied_then(lambda s: 0.9 * 2.718281828459045 ** (-(1 + s) / 9) + 0.1),
        ),
        (
            dict(ema_type='StochasticWeightAverage'),
            lambda weights: [torch.stack(weights[1 : i + 2]).double().mean(0) for i in range(len(weights) - 1)],
        ),
    ],
)
def test_averages_follow_their_formulas(ema, formula):
    weights, averages = trace(ema)
    for got, expected in zip(averages, formula(weights), strict=True):
        assert torch.allclose(got.double(), expected, atol=1e-6)


def test_an_interval_and_a_later_begin():
    weights, averages = trace(dict(ema_type='StochasticWeightAverage', interval=3, begin_iter=5))
    assert torch.equal(averages[3], weights[4])  # a copy before the fifth iteration
    chosen = weights[5::3]
    assert torch.allclose(averages[-1], torch.stack(chosen).mean(0), atol=1e-6)


def test_an_average_of_the_0x_kind_that_begins_later_forgets_the_initial_weights():
    weights, averages = trace(dict(momentum=0.1, begin_iter=4))
    assert torch.equal(averages[3], weights[4])


def test_buffers_are_averaged_if_asked_for_and_counts_are_not():
    runner, hook = make(IterBasedRunner, ema=dict(update_buffers=True, momentum=0.5), max_iters=4)
    runner.run([batches()])
    assert 'bn.running_mean' in hook.average.beside()
    assert 'bn.num_batches_tracked' not in hook.average.beside()
    assert not torch.equal(hook.average.beside()['bn.running_mean'], runner.model.bn.running_mean)


def test_tied_weights_have_one_average():
    model = nn.ModuleDict({'a': nn.Linear(2, 2), 'b': nn.Linear(2, 2)})
    model['b'].weight = model['a'].weight
    average = AverageOfWeights(model, exponential(0.5))
    for _ in range(2):
        average.update()
        nn.init.normal_(model['a'].weight)
    beside = {name: value.clone() for name, value in average.beside().items()}
    assert torch.equal(beside['a.weight'], beside['b.weight'])
    average.swap()
    assert torch.equal(model['b'].weight, beside['a.weight'])


def test_the_average_is_what_is_evaluated_and_what_checkpoints_hold(tmp_path):
    runner, hook = make(work_dir=tmp_path, ema=dict(momentum=0.1, evaluate_on_origin=True), max_epochs=2)
    loader = Loader({'img': batch} for batch in batches(2))
    runner.register_hook(EvalHook(loader, SumOfOutputs(), save_best='acc'), 'LOW')
    runner.register_hook(CheckpointHook(interval=1))
    runner.run([batches()])
    saved = torch.load(tmp_path / 'epoch_2.pth')
    trained = runner.model.state_dict()
    for name, value in trained.items():
        assert torch.equal(saved['ema_state_dict'][f'module.{name}'], value)
    assert torch.equal(saved['state_dict']['fc.weight'], hook.average.beside()['fc.weight'])
    assert not torch.equal(saved['state_dict']['fc.weight'], trained['fc.weight'])
    assert int(saved['ema_state_dict']['steps']) == 10
    inputs = torch.cat(batches(2))
    for metric, state in (('acc', saved['state_dict']), ('acc_origin', trained)):
        expected = nn.functional.linear(inputs, state['fc.weight'], state['fc.bias']).sum()
        assert runner.metrics[metric] == pytest.approx(float(expected), rel=1e-5)
    best = torch.load(next(tmp_path.glob('best_*.pth')))
    assert set(best) >= {'state_dict', 'ema_state_dict'}


class StopAfter(Hook):
    def __init__(self, num_iters):
        self.num_iters = num_iters

    def after_train_iter(self, runner):
        if runner.iter + 1 == self.num_iters:
            runner.request_stop()


@pytest.mark.parametrize('runner_type', [EpochBasedRunner, IterBasedRunner])
@pytest.mark.parametrize('kind', ['WarmUpEMA', 'MomentumAnnealingEMA', 'StochasticWeightAverage'])
def test_a_resumed_run_has_the_same_weights_and_averages_to_the_last_bit(tmp_path, runner_type, kind):
    length = dict(max_epochs=3) if runner_type is EpochBasedRunner else dict(max_iters=15)
    ema = dict(ema_type=kind, interval=2, update_buffers=True)
    whole, whole_hook = make(runner_type, ema=ema, **length)
    whole.run([batches()])
    first, _ = make(runner_type, tmp_path, ema, **length)
    first.register_hook(StopAfter(7))
    first.run([batches()])
    first.save_checkpoint('iter_7.pth')
    second, second_hook = make(runner_type, tmp_path, ema, **length)
    second.resume(tmp_path / 'iter_7.pth')
    assert torch.equal(second.model.fc.weight, first.model.fc.weight)
    second.run([batches()])
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])
    for name, value in whole_hook.average.beside().items():
        assert torch.equal(value, second_hook.average.beside()[name])


def test_a_checkpoint_hook_that_sits_before_it_saves_the_same(tmp_path):
    saved = []
    for seat in (45, 55):
        runner, _ = make(IterBasedRunner, tmp_path, dict(momentum=0.2, warm_up=1), seat, max_iters=6)
        runner.register_hook(CheckpointHook(interval=3))
        runner.run([batches()])
        saved.append([torch.load(tmp_path / f'iter_{n}.pth') for n in (3, 6)])
    for one, other in zip(*saved, strict=True):
        assert torch.equal(one['state_dict']['fc.weight'], other['state_dict']['fc.weight'])
        assert int(one['ema_state_dict']['steps']) == int(other['ema_state_dict']['steps']) == one['meta']['iter']


def test_a_failing_evaluation_leaves_the_trained_weights():
    class Fails(SumOfOutputs):
        def update(self, results, batch):
            raise RuntimeError('no metric')

    runner, hook = make(ema=dict(momentum=0.1), max_epochs=1)
    after = []

    class Recorder(Hook):
        def after_train_epoch(self, runner):
            after.append(runner.model.fc.weight.detach().clone())

    runner.register_hook(Recorder())
    runner.register_hook(EvalHook(Loader([{'img': batches(1)[0]}]), Fails()), 'LOW')
    with pytest.raises(RuntimeError, match='no metric'):
        runner.run([batches()])
    assert torch.equal(runner.model.fc.weight, after[0])
    assert not hook.average.is_in_model


def test_resuming_a_checkpoint_without_averages(tmp_path, caplog):
    torch.manual_seed(0)
    model = Model()
    plain = EpochBasedRunner(model, torch.optim.SGD(model.parameters(), lr=0.1), tmp_path, max_epochs=2)
    plain.save_checkpoint('epoch_0.pth')
    runner, hook = make(ema=dict(momentum=0.1), max_epochs=2)
    with caplog.at_level('WARNING'):
        runner.resume(tmp_path / 'epoch_0.pth')
    assert 'no averaged weights' in caplog.text
    assert torch.equal(hook.average.beside()['fc.weight'], plain.model.fc.weight)
    strict, _ = make(ema=dict(strict_load=True), max_epochs=2)
    with pytest.raises(CheckpointError, match='strict_load=False'):
        strict.resume(tmp_path / 'epoch_0.pth')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(ema_type='EMA'), 'none of'),
        (dict(ema_type='StochasticWeightAverage', momentum=0.1), "has no 'momentum'"),
        (dict(gamma=3), "has no 'gamma'"),
        (dict(momentum=1.5), 'must be in'),
        (dict(interval=0), 'interval must be positive'),
        (dict(begin_iter=3, begin_epoch=1), 'cannot both'),
    ],
)
def test_arguments_that_make_no_sense(arguments, message):
    with pytest.raises(ConfigError, match=message):
        EMAHook(**arguments)
