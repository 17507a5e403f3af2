from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from intarsia.core.errors import ConfigError
from intarsia.data.loader import Loader
from intarsia.data.samplers import RandomSampler
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.checkpoint import CheckpointHook
from intarsia.engine.hooks.early_stopping import EarlyStoppingHook
from intarsia.engine.hooks.ema import EMAHook
from intarsia.engine.hooks.lr_updater import StepLrUpdaterHook
from intarsia.engine.hooks.nan_guard import NanGuardHook, NonFiniteLossError
from intarsia.engine.hooks.optimizer import OptimizerHook
from intarsia.engine.runner import EpochBasedRunner, IterBasedRunner
from intarsia.engine.stage import Stage


class Model(nn.Module):
    """A loss that is NaN wherever its inputs are."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 1)

    def train_step(self, batch, optimizer=None):
        loss_a, loss_b = self.fc(batch['img']).square().mean(), self.fc.weight.square().sum()
        total = loss_a + loss_b
        log_vars = {'loss_a': loss_a.detach(), 'loss_b': loss_b.detach(), 'acc': torch.tensor(float('inf'))}
        return dict(loss=total, log_vars={**log_vars, 'loss': total.detach()}, num_samples=len(batch['img']))

    val_step = train_step


def make(runner_type=EpochBasedRunner, work_dir=None, **length):
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    runner = runner_type(model, optimizer, work_dir, logging.getLogger('test'), seed=0, **length)
    runner.register_hook(OptimizerHook(), 'ABOVE_NORMAL')
    return runner


# ---------------------------------------------------------------------- early stopping


class Metrics(Hook):
    """Evaluations with given results, one an epoch."""

    def __init__(self, name, values):
        self.name, self.values = name, list(values)

    def after_train_epoch(self, runner):
        runner.metrics = {self.name: self.values[runner.epoch]}
        runner.hook_list.call(Stage.AFTER_EVALUATION, runner)


def epochs_run(values, name='acc', **arguments):
    runner = make(max_epochs=len(values))
    runner.register_hook(Metrics(name, values))
    runner.register_hook(EarlyStoppingHook(name, **arguments), 'LOWEST')
    runner.run([[{'img': torch.ones(2, 3)}]])
    return runner.epoch


@pytest.mark.parametrize(
    ('values', 'arguments', 'expected'),
    [
        ([1, 2, 3, 4, 5, 6], dict(patience=2, min_delta=0.5), 6),
        ([1, 1.4, 1.4, 3, 3, 3, 3], dict(patience=2, min_delta=0.5), 3),
        ([1, 1.4, 1.5, 1.6, 1.7, 9], dict(patience=2, min_delta=0.5), 5),  # 1.5 is enough, 2.0 never comes
        ([5, 4, 3, 3, 3, 3], dict(rule='less', patience=2, min_delta=0.0), 6),  # equal is not worse
        ([5, 4, 3, 3, 3, 3], dict(rule='less', patience=2, min_delta=0.1), 5),
        ([1, 2, 3, 4], dict(stopping_threshold=2.5), 3),
        ([3, 2, 1, 0], dict(rule='less', stopping_threshold=2), 3),
        ([1, float('nan'), 2, 3], dict(), 2),
        ([1, float('nan'), float('nan'), 2, 3], dict(check_finite=False, patience=3), 5),
        ([1, float('nan'), float('nan'), 2, 3], dict(check_finite=False, patience=2), 3),
    ],
)
def test_when_a_run_stops_early(values, arguments, expected):
    assert epochs_run(values, **arguments) == expected


def test_the_rule_follows_from_the_name():
    assert epochs_run([3, 2, 1, 0], 'loss', patience=1) == 4
    assert epochs_run([3, 2, 1, 0], 'accuracy_top-1', patience=1) == 2
    with pytest.raises(ValueError, match="rule='greater'"):
        EarlyStoppingHook('something')


def test_a_metric_that_is_not_there(caplog):
    runner = make(max_epochs=1)
    runner.register_hook(Metrics('accuracy_top-1', [1.0]))
    runner.register_hook(EarlyStoppingHook('accuracy_top1', strict=True), 'LOWEST')
    with pytest.raises(ConfigError, match="Did you mean 'accuracy_top-1'"):
        runner.run([[{'img': torch.ones(2, 3)}]])
    lenient = EarlyStoppingHook('accuracy_top1')
    runner.metrics = {'accuracy_top-1': 1.0}
    lenient.after_evaluation(runner)
    assert 'accuracy_top1' in caplog.text


def test_waiting_goes_on_after_a_resume():
    first, second = EarlyStoppingHook('acc', patience=3), EarlyStoppingHook('acc', patience=3)
    assert [first.reason_to_stop(v) for v in (2.0, 1.0, 1.0)] == [None] * 3
    second.load_state_dict(first.state_dict())
    assert 'in the last 3 evaluations' in second.reason_to_stop(1.0)


# ---------------------------------------------------------------------- the guard


class Samples:
    """Rows that hold their index; those of ``broken`` hold NaN."""

    def __init__(self, broken, count=40):
        self.broken, self.count = broken, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        value = float('nan') if index == self.broken else index / self.count
        return {'img': torch.full((3,), value)}


BATCH = 5


def loader(batch=BATCH, batch_size=4):
    """Batches, of which number ``batch`` of the first epoch holds a broken sample; and the samples of that batch."""
    dataset = Samples(broken=None)
    sampler = RandomSampler(dataset, seed=3)
    samples = sampler.order(0)[batch * batch_size : (batch + 1) * batch_size].tolist()
    dataset.broken = samples[1]
    return Loader(dataset, sampler, batch_size, seed=3), samples


@pytest.mark.parametrize('interval', [1, 3, 50])
@pytest.mark.parametrize('runner_type', [EpochBasedRunner, IterBasedRunner])
def test_the_first_bad_iteration_and_its_samples_are_named(interval, runner_type):
    batches, samples = loader()
    length = dict(max_epochs=1) if runner_type is EpochBasedRunner else dict(max_iters=60)
    runner = make(runner_type, **length)
    runner.register_hook(NanGuardHook(interval=interval), 'ABOVE_NORMAL')
    with pytest.raises(NonFiniteLossError) as caught:
        runner.run([batches])
    text = str(caught.value)
    assert f'iteration {BATCH + 1} (epoch 1, batch {BATCH + 1})' in text
    assert 'loss_a nan, loss nan' in text
    assert 'loss_b' not in text
    assert 'acc' not in text
    assert f'samples {", ".join(map(str, samples))}.' in text


def test_a_run_that_will_be_stopped_writes_no_bad_weights(tmp_path):
    batches, _ = loader()
    runner = make(IterBasedRunner, tmp_path, max_iters=60)
    runner.register_hook(NanGuardHook(), 'ABOVE_NORMAL')
    runner.register_hook(CheckpointHook(interval=1))
    with pytest.raises(NonFiniteLossError, match=rf'last good checkpoint is \S*iter_{BATCH}\.pth'):
        runner.run([batches])
    assert not (tmp_path / f'iter_{BATCH + 1}.pth').exists()
    for file in tmp_path.glob('iter_*.pth'):
        assert torch.load(file)['state_dict']['fc.weight'].isfinite().all()


class Weights(Hook):
    def __init__(self):
        self.after, self.lrs = {}, {}

    def after_train_iter(self, runner):
        self.after[runner.iter] = runner.model.fc.weight.detach().clone()
        self.lrs[runner.iter] = runner.current_lr()[0]


def test_going_back_takes_good_weights_and_goes_on_with_the_next_batch(tmp_path, caplog):
    batches, _ = loader()
    runner, recorder, ema = make(work_dir=tmp_path, max_epochs=1), Weights(), EMAHook(momentum=0.1)
    runner.register_hook(StepLrUpdaterHook(step=[BATCH + 2], by_epoch=False), 'VERY_HIGH')
    guard = NanGuardHook('rollback', interval=1)
    for hook in (guard, ema):
        runner.register_hook(hook, 'ABOVE_NORMAL')
    runner.register_hook(CheckpointHook(interval=1, by_epoch=False))
    runner.register_hook(recorder, 'LOWEST')
    runner.run([batches])
    assert runner.iter == 10
    assert guard.num_rollbacks == 1
    assert 'going back to the weights of' in caplog.text
    assert torch.equal(recorder.after[BATCH], recorder.after[BATCH - 1])
    assert runner.model.fc.weight.isfinite().all()
    assert ema.average.beside()['fc.weight'].isfinite().all()
    momenta = [state['momentum_buffer'] for state in runner.optimizer.state.values()]
    assert all(momentum.isfinite().all() for momentum in momenta)
    assert (recorder.lrs[BATCH + 1], recorder.lrs[BATCH + 2]) == pytest.approx((0.1, 0.01))  # the schedule goes on


def test_poisoned_and_broken_checkpoints_are_passed_over(tmp_path):
    batches, _ = loader()
    runner = make(work_dir=tmp_path, max_epochs=1)
    runner.register_hook(NanGuardHook('rollback', interval=100), 'ABOVE_NORMAL')
    runner.register_hook(CheckpointHook(interval=1, by_epoch=False))
    (tmp_path / 'iter_99.pth').write_bytes(b'no checkpoint')
    runner.run([batches])
    newest = torch.load(tmp_path / f'iter_{BATCH}.pth')['state_dict']
    assert torch.equal(newest['fc.weight'], runner.model.fc.weight)  # back at the end of the epoch
    assert not torch.load(tmp_path / f'iter_{BATCH + 1}.pth')['state_dict']['fc.weight'].isfinite().all()


def test_a_run_goes_back_only_so_often(tmp_path):
    runner = make(work_dir=tmp_path, max_epochs=9)
    guard = NanGuardHook('rollback', max_rollbacks=2)
    runner.register_hook(guard, 'ABOVE_NORMAL')
    runner.save_checkpoint('iter_0.pth')
    with pytest.raises(NonFiniteLossError, match='gone back 2 times'):
        runner.run([loader()[0]])
    assert runner.epoch == 2
    other = NanGuardHook('rollback', max_rollbacks=2)
    other.load_state_dict(guard.state_dict())
    assert other.num_rollbacks == 2


def test_without_a_checkpoint_there_is_no_way_back(tmp_path):
    runner = make(work_dir=tmp_path, max_epochs=1)
    runner.register_hook(NanGuardHook('rollback'), 'ABOVE_NORMAL')
    with pytest.raises(NonFiniteLossError, match='no checkpoint from before'):
        runner.run([loader()[0]])
