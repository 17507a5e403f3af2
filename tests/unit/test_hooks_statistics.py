from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from intarsia.engine.hooks.empty_cache import EmptyCacheHook
from intarsia.engine.hooks.precise_bn import PreciseBNHook, measure_statistics
from intarsia.engine.hooks.sync_buffers import SyncBuffersHook
from intarsia.engine.runner import EpochBasedRunner, IterBasedRunner


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3))
        self.last = nn.BatchNorm2d(5)
        self.frozen = nn.BatchNorm2d(5)
        self.train()

    def train(self, mode=True):
        super().train(mode)
        self.frozen.eval()
        return self

    def train_step(self, batch, optimizer=None):
        loss = self.frozen(self.last(self.layers(batch))).square().mean()
        return dict(loss=loss, log_vars={'loss': loss.detach()}, num_samples=len(batch))

    val_step = train_step


class Batches(list):
    batch_size = 6


def batches(sizes=(6, 6, 4)):
    generator = torch.Generator().manual_seed(1)
    return Batches(torch.randn(n, 3, 8, 8, generator=generator) for n in sizes)


def inputs_of_first_norm(model, data):
    with torch.no_grad():
        return [model.layers[0](batch) for batch in data]


def test_the_statistics_are_those_of_all_activations():
    model, data = Model(), batches()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert measure_statistics(model, data) == 2
    every = torch.cat(inputs_of_first_norm(model, data)).transpose(0, 1).flatten(1).double()
    norm = model.layers[1]
    assert torch.allclose(norm.running_mean.double(), every.mean(1), atol=1e-7)
    assert torch.allclose(norm.running_var.double(), every.var(1, correction=0), atol=1e-6)
    after = model.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {f'{layer}.running_{what}' for layer in ('layers.1', 'last') for what in ('mean', 'var')}


def test_the_older_way_is_the_mean_of_what_a_momentum_of_one_gives():
    model, data = Model(), batches()
    measure_statistics(model, data, total_variance=False)
    other = Model()
    for norm in (other.layers[1], other.last):
        norm.momentum = 1.0
    seen = []
    with torch.no_grad():
        for batch in data:
            other.train_step(batch)
            seen.append((other.last.running_mean.clone(), other.last.running_var.clone()))
    mean, variance = (torch.stack(values).mean(0) for values in zip(*seen, strict=True))
    assert torch.allclose(model.last.running_mean, mean, atol=1e-6)
    assert torch.allclose(model.last.running_var, variance, atol=1e-6)


@pytest.mark.parametrize(
    ('arguments', 'num_batches'),
    [(dict(num_samples=13), 2), (dict(num_samples=2), 1), (dict(), 3), (dict(num_iters=2), 2), (dict(num_iters=9), 3)],
)
def test_how_much_is_looked_at(arguments, num_batches):
    model, data = Model(), batches()
    runner = EpochBasedRunner(model, None, None, logging.getLogger('test'), max_epochs=1)
    runner.register_hook(PreciseBNHook(**arguments), 'ABOVE_NORMAL')
    runner.run([data])
    expected = torch.cat(inputs_of_first_norm(model, data[:num_batches])).mean((0, 2, 3))
    assert torch.allclose(model.layers[1].running_mean, expected, atol=1e-6)


def test_it_acts_in_the_epochs_that_are_due_and_needs_epochs():
    model = Model()
    runner = EpochBasedRunner(model, None, None, logging.getLogger('test'), max_epochs=3)
    hook = PreciseBNHook(interval=2)
    runner.data_loader = batches()
    before = model.last.running_mean.clone()
    hook.after_train_epoch(runner)
    assert torch.equal(before, model.last.running_mean)
    runner.epoch = 1
    hook.after_train_epoch(runner)
    assert not torch.equal(before, model.last.running_mean)
    with pytest.raises(ValueError, match='iteration based'):
        hook.before_run(IterBasedRunner(model, max_iters=3))


def _in_two_processes(rank, port_file, results):
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{port_file}', rank=rank, world_size=2)
    model, data = Model(), batches((6, 6, 6, 6))
    runner = EpochBasedRunner(model, None, None, logging.getLogger('test'), max_epochs=1, rank=rank, world_size=2)
    model.last.running_mean.fill_(float(rank))
    model.last.num_batches_tracked.fill_(rank)
    SyncBuffersHook().after_train_epoch(runner)
    synced = (model.last.running_mean.clone(), model.last.num_batches_tracked.clone())
    measure_statistics(model, data[rank::2])
    torch.save((synced, model.state_dict()), f'{results}/{rank}.pth')
    torch.distributed.destroy_process_group()


def test_two_processes_share_buffers_and_statistics(tmp_path):
    torch.multiprocessing.spawn(_in_two_processes, (tmp_path / 'port', tmp_path), nprocs=2)
    whole = Model()
    measure_statistics(whole, batches((6, 6, 6, 6)))
    for rank in (0, 1):
        (mean, count), state = torch.load(tmp_path / f'{rank}.pth')
        assert torch.equal(mean, torch.full((5,), 0.5))
        assert int(count) == rank
        for name, value in whole.state_dict().items():
            if 'num_batches' not in name:
                assert torch.allclose(value, state[name], atol=1e-6), name


def test_alone_nothing_is_shared_and_no_cache_is_emptied():
    model = Model()
    model.last.running_mean.fill_(3.0)
    runner = EpochBasedRunner(model, None, None, logging.getLogger('test'), max_epochs=1)
    for hook in (SyncBuffersHook(), EmptyCacheHook(True, True, True)):
        runner.register_hook(hook)
    runner.data_loader = batches()
    SyncBuffersHook().after_train_epoch(runner)
    assert model.last.running_mean.tolist() == [3.0] * 5
    runner.run([batches((6,))])
    assert runner.iter == 1


def test_the_cache_is_emptied_at_the_wanted_moments(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.cuda, 'max_memory_allocated', lambda: 0)
    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: calls.append(str(runner.stage)))
    for arguments, expected in (
        (dict(), ['after_train_epoch']),
        (
            dict(before_epoch=True, after_epoch=False, after_iter=True),
            ['before_train_epoch', 'after_train_iter', 'after_train_iter'],
        ),
    ):
        runner = EpochBasedRunner(Model(), None, None, logging.getLogger('test'), max_epochs=1)
        runner.register_hook(EmptyCacheHook(**arguments))
        calls.clear()
        runner.run([batches((6, 6))])
        assert calls == expected
