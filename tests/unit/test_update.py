"""The update: accumulation, clipping, loss scaling; precision and activation checkpointing."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from intarsia.core.errors import ConfigError
from intarsia.engine.activation_checkpointing import checkpoint_activations
from intarsia.engine.hooks.checkpoint import CheckpointHook
from intarsia.engine.hooks.optimizer import Fp16OptimizerHook, OptimizerHook
from intarsia.engine.precision import LossScaler
from intarsia.engine.runner import IterBasedRunner
from intarsia.engine.strategy import Strategy
from intarsia.engine.update import Update
from tests.unit.test_runner import Model, batches


def run(hook, iters=5, data=None, tmp_path=None, resume=None, extra=(), strategy=None):
    torch.manual_seed(0)
    model = Model()
    runner = IterBasedRunner(
        model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), tmp_path, logging.getLogger('test'),
        max_iters=iters, strategy=strategy(model) if strategy else None,
    )  # fmt: skip
    runner.register_hook(hook, 40)
    for each in extra:
        runner.register_hook(each)
    if resume:
        runner.resume(resume)
    runner.run([data or batches()])
    return model, runner


def reference(iters, count, data):
    """Gradient accumulation by hand; the remainder is averaged over its own number."""
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for first in range(0, iters, count):
        window = range(first, min(first + count, iters))
        optimizer.zero_grad()
        for i in window:
            (model.train_step(data[i % len(data)])['loss'] / len(window)).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize('count', [1, 2, 3, 7])
def test_accumulated_gradients_are_those_of_one_large_batch(count):
    ours, _ = run(OptimizerHook(cumulative_iters=count), iters=5)
    wanted = reference(5, count, batches())
    for ours_p, wanted_p in zip(ours.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(ours_p, wanted_p, rtol=1e-6, atol=1e-7)


def test_a_run_that_stops_between_two_steps_resumes_exactly(tmp_path):
    whole, _ = run(OptimizerHook(cumulative_iters=3), iters=6)
    run(OptimizerHook(cumulative_iters=3), iters=6, tmp_path=tmp_path, extra=[CheckpointHook(interval=2)])
    (tmp_path / 'iter_6.pth').unlink()
    resumed, _ = run(OptimizerHook(cumulative_iters=3), iters=6, resume=tmp_path / 'iter_4.pth')
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_clipping_by_norm_and_by_value():
    parameter = nn.Parameter(torch.tensor([3.0, 4.0]))
    holder = nn.ParameterList([parameter])
    norm = Update(dict(max_norm=1.0, norm_type=2))(parameter.square().sum() / 2, [], holder)
    assert norm == pytest.approx(5.0)
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.8]), rtol=1e-5, atol=0)
    parameter.grad = None
    assert Update(dict(type='value', clip_value=3.5))(parameter.square().sum() / 2, [], holder) is None
    torch.testing.assert_close(parameter.grad, torch.tensor([3.0, 3.5]))


def test_a_misspelt_argument_of_clipping_is_told():
    with pytest.raises(ConfigError, match=r"no argument 'max_nrom'.*Did you mean 'max_norm'"):
        Update(dict(max_nrom=1))


def test_a_scaled_loss_gives_the_same_weights_and_leaves_out_infinite_steps():
    plain, _ = run(OptimizerHook(dict(max_norm=0.5)))
    scaled, _ = run(Fp16OptimizerHook(dict(max_norm=0.5), loss_scale=1024.0))
    for a, b in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    scaler = LossScaler('dynamic')
    parameter = nn.Parameter(torch.tensor([2.0]))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    Update(scaler=scaler)(parameter.sum() * float('inf'), [optimizer], nn.ParameterList([parameter]))
    assert parameter.item() == 2.0
    assert scaler.state_dict()['scale'] == 2.0**15, 'half of the first scale'


def test_the_loss_scale_survives_a_resume(tmp_path):
    hook = Fp16OptimizerHook(loss_scale=dict(init_scale=8.0, growth_interval=2))
    run(hook, iters=5, tmp_path=tmp_path, extra=[CheckpointHook(interval=3)])
    again = Fp16OptimizerHook(loss_scale=dict(init_scale=8.0, growth_interval=2))
    run(again, iters=5, resume=tmp_path / 'iter_3.pth')
    assert again.update.scaler.state_dict() == hook.update.scaler.state_dict()
    assert hook.update.scaler.state_dict()['scale'] == 32.0


def test_a_low_precision_computes_in_it_and_keeps_weights():
    seen = []

    class Spy(Model):
        def train_step(self, batch, optimizer=None):
            seen.append(self.fc(batch).dtype)
            return super().train_step(batch, optimizer)

    model = Spy()
    step = Strategy(model, 'bf16').train_step
    outputs = step(batches()[0], None)
    outputs['loss'].backward()
    assert seen == [torch.bfloat16]
    assert model.fc.weight.dtype == model.fc.weight.grad.dtype == torch.float32


def test_parameters_without_a_part_are_logged(caplog):
    class Spare(Model):
        def __init__(self):
            super().__init__()
            self.spare = nn.Linear(1, 1)

    model = Spare()
    runner = IterBasedRunner(model, torch.optim.SGD(model.parameters(), 0.1), max_iters=2)
    runner.register_hook(OptimizerHook(detect_anomalous_params=True))
    with caplog.at_level('ERROR'):
        runner.logger = logging.getLogger('test')
        runner.run([batches()])
    assert [r.message for r in caplog.records] == ['iteration 1: no part in the loss: spare.weight, spare.bias']


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x)).relu()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.stages = nn.ModuleList([nn.Sequential(Block(), Block()), nn.Sequential(Block())])

    def forward(self, x):
        for stage in self.backbone.stages:
            x = stage(x)
        return x


def test_recomputed_activations_change_nothing_but_memory():
    torch.manual_seed(0)
    plain, saving = Net(), Net()
    saving.load_state_dict(plain.state_dict())
    names = checkpoint_activations(saving, True)
    assert names == ['backbone.stages.0.0', 'backbone.stages.0.1', 'backbone.stages.1.0']
    for _ in range(2):
        x = torch.randn(2, 4, 8, 8)
        for net in (plain, saving):
            net.zero_grad()
            net(x).square().sum().backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    for (name, a), b in zip(plain.state_dict().items(), saving.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_module_that_is_not_there_is_told():
    with pytest.raises(ConfigError, match=r"no module 'backbone.stage.0'"):
        checkpoint_activations(Net(), ['backbone.stage.0'])
