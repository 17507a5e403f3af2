from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from intarsia.engine.hook import Hook
from intarsia.engine.hooks.checkpoint import CheckpointHook
from intarsia.engine.hooks.lr_updater import LrUpdaterHook, StepLrUpdaterHook
from intarsia.engine.hooks.optimizer import OptimizerHook
from intarsia.engine.log.buffer import LogBuffer
from intarsia.engine.priority import get_priority
from intarsia.engine.runner import EpochBasedRunner, IterBasedRunner


class Model(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.fc = nn.Linear(4, 1)
        self.drop = nn.Dropout(dropout)

    def train_step(self, batch, optimizer=None):
        loss = self.drop(self.fc(batch)).square().mean()
        return dict(loss=loss, log_vars={'loss': loss.detach()}, num_samples=len(batch))

    val_step = train_step


class Recorder(Hook):
    def __init__(self):
        self.seen = []

    def _note(self, runner):
        self.seen.append((str(runner.stage), runner.epoch, runner.iter))

    before_run = after_run = before_train_epoch = after_train_epoch = _note
    before_train_iter = after_train_iter = before_val_epoch = after_val_epoch = _note


def make(runner_type=EpochBasedRunner, tmp_path=None, dropout=0.0, **kwargs):
    torch.manual_seed(0)
    model = Model(dropout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return runner_type(model, optimizer, tmp_path, logging.getLogger('test'), seed=0, **kwargs)


def batches(n=3):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 4, generator=generator) for _ in range(n)]


def test_the_order_of_stages_with_a_validation_flow():
    runner, recorder = make(max_epochs=2), Recorder()
    runner.register_hook(recorder)
    runner.run([batches(), batches(1)], [('train', 1), ('val', 1)])
    iters = [s for i in range(3) for s in (('before_train_iter', 0, i), ('after_train_iter', 0, i))]
    assert recorder.seen[:11] == [
        ('before_run', 0, 0), ('before_train_epoch', 0, 0), *iters, ('after_train_epoch', 0, 3),
        ('before_val_epoch', 1, 3), ('after_val_epoch', 1, 3),
    ]  # fmt: skip
    assert recorder.seen[-1] == ('after_run', 2, 6)


def test_validation_changes_no_weights():
    one, other = make(max_epochs=2), make(max_epochs=2)
    for runner in (one, other):
        runner.register_hook(OptimizerHook())
    one.run([batches()], [('train', 1)])
    other.run([batches(), batches(2)], [('train', 1), ('val', 1)])
    assert torch.equal(one.model.fc.weight, other.model.fc.weight)


def test_an_iteration_based_run_has_no_train_epochs():
    runner, recorder = make(IterBasedRunner, max_iters=7), Recorder()
    runner.register_hook(recorder)
    runner.run([batches()], [('train', 1)])
    stages = [s for s, _, _ in recorder.seen]
    assert stages.count('after_train_iter') == 7
    assert 'before_train_epoch' not in stages
    assert (runner.epoch, runner.iter) == (2, 7)


def test_priorities_and_ties():
    runner = make(max_epochs=1)
    order = []

    def hook(name):
        class Named(Hook):
            def before_run(self, runner):
                order.append(name)

        return Named()

    for name, seat in (('c', 'NORMAL'), ('d', 50), ('a', 'VERY_HIGH'), ('e', 'lowest'), ('b', 40)):
        runner.register_hook(hook(name), seat)
    runner.run([batches(1)], [('train', 1)])
    assert order == list('abcde')
    with pytest.raises(ValueError, match="Did you mean 'NORMAL'"):
        get_priority('NORMALL')
    with pytest.raises(ValueError, match='0 to 100'):
        get_priority(101)


def test_a_method_almost_named_like_a_stage_is_refused():
    with pytest.raises(TypeError, match="Did you mean 'after_train_iter'"):
        type('Typo', (Hook,), {'after_train_iters': lambda self, runner: None})


def test_a_general_stage_stands_for_both_and_hooks_of_the_other_form_are_adapted():
    seen = []

    class General(Hook):
        def before_epoch(self, runner):
            seen.append(runner.mode)

    class OneX(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append((batch_idx, data_batch.shape[0], 'loss' in outputs))

    runner = make(max_epochs=1)
    runner.register_hook(General())
    runner.register_hook(OneX())
    runner.run([batches(1), batches(1)], [('train', 1), ('val', 1)])
    assert seen == ['train', (0, 8, True), 'val']


def test_after_run_is_called_when_a_run_fails():
    class Fails(Hook):
        def after_train_iter(self, runner):
            raise RuntimeError('stop')

    runner, recorder = make(max_epochs=1), Recorder()
    runner.register_hook(Fails())
    runner.register_hook(recorder)
    with pytest.raises(RuntimeError, match='stop'):
        runner.run([batches()], [('train', 1)])
    assert recorder.seen[-1][0] == 'after_run'


@pytest.mark.parametrize('workflow', [[('test', 1)], [('val', 1)], [('train', 0)]])
def test_a_workflow_must_train(workflow):
    with pytest.raises(ValueError, match='must train'):
        make(max_epochs=1).run([batches()], workflow)


@pytest.mark.parametrize(('runner_type', 'length', 'by_epoch', 'stop_file'),
                         [(EpochBasedRunner, dict(max_epochs=3), True, 'epoch_1.pth'),
                          (EpochBasedRunner, dict(max_epochs=3), False, 'iter_4.pth'),
                          (IterBasedRunner, dict(max_iters=9), False, 'iter_4.pth')])  # fmt: skip
def test_resuming_gives_the_weights_of_an_uninterrupted_run(tmp_path, runner_type, length, by_epoch, stop_file):
    def complete(folder, resume=None):
        runner = make(runner_type, folder, dropout=0.5, **length)
        runner.register_hook(StepLrUpdaterHook([2, 5], by_epoch=False), 'VERY_HIGH')
        runner.register_hook(OptimizerHook(dict(max_norm=1.0)), 'ABOVE_NORMAL')
        runner.register_hook(CheckpointHook(1, by_epoch))
        if resume:
            runner.resume(resume)
        runner.run([batches()], [('train', 1)])
        return runner

    whole = complete(tmp_path / 'a')
    resumed = complete(tmp_path / 'b', tmp_path / 'a' / stop_file)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key])
    assert resumed.iter == whole.iter == 9


def test_checkpoints_are_numbered_by_what_is_complete_and_pruned(tmp_path):
    runner = make(IterBasedRunner, tmp_path, max_iters=7)
    runner.register_hook(OptimizerHook(), 'ABOVE_NORMAL')
    runner.register_hook(CheckpointHook(2, max_keep_ckpts=2))
    runner.run([batches()], [('train', 1)])
    assert sorted(p.name for p in tmp_path.glob('iter_*')) == ['iter_6.pth', 'iter_7.pth']
    assert (tmp_path / 'latest.pth').resolve().name == 'iter_7.pth'
    meta = torch.load(tmp_path / 'iter_6.pth', weights_only=True)['meta']
    assert (meta['iter'], meta['epoch'], meta['inner_iter']) == (6, 1, 3)


def test_the_log_buffer_averages_by_weight_and_fetches_tensors():
    buffer = LogBuffer()
    buffer.update({'loss': torch.tensor(1.0)}, 1)
    buffer.update({'loss': torch.tensor(4.0), 'x': 2.0}, 3)
    buffer.average()
    assert buffer.output == {'loss': pytest.approx(3.25), 'x': 2.0}
    buffer.average(1)
    assert buffer.output['loss'] == 4.0
    buffer.clear()
    assert not buffer.ready


def test_a_users_own_schedule_and_its_warm_up():
    class Halving(LrUpdaterHook):
        def get_lr(self, runner, base_lr):
            return base_lr / 2**runner.epoch

    seen = []

    class Look(Hook):
        def after_train_iter(self, runner):
            seen.append(round(runner.current_lr()[0], 6))

    runner = make(max_epochs=2)
    runner.register_hook(Halving(warmup='linear', warmup_iters=2, warmup_ratio=0.1), 'VERY_HIGH')
    runner.register_hook(Look())
    runner.run([batches()], [('train', 1)])
    assert seen == [0.01, 0.055, 0.1, 0.05, 0.05, 0.05]
