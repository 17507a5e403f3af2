"""Runners that projects build themselves, and the hooks of the first generation."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn

from intarsia.engine.runner import EpochBasedRunner as OurRunner
from intarsia.openmmlab import checkpoints, hooks, runners
from intarsia.openmmlab.config import ConfigDict
from intarsia.openmmlab.parallel import DataContainer, MMDataParallel, MMDistributedDataParallel, collate

LOGGER = logging.getLogger('tests.runners')


class Data(torch.utils.data.Dataset):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.x = torch.from_numpy(rng.standard_normal((8, 3)).astype(np.float32))
        self.scores = iter(np.linspace(0.1, 0.9, 20))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return {
            'img': DataContainer(self.x[index], stack=True, pad_dims=None),
            'img_metas': DataContainer({'index': index}, cpu_only=True),
        }

    def evaluate(self, results, logger=None, metric='acc'):
        assert len(results) == 8
        return {metric: float(next(self.scores))}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(3, 1)

    def forward(self, img, img_metas, return_loss=True):
        out = self.fc(img)
        return {'loss': (out - 1).square().mean()} if return_loss else list(out.detach().numpy())

    def train_step(self, data, optimizer, **kwargs):
        assert isinstance(data['img_metas'], list)
        loss = self(**data)['loss']
        return dict(loss=loss, log_vars={'loss': loss.item()}, num_samples=len(data['img']))


def loader(shuffle=False):
    return torch.utils.data.DataLoader(Data(), batch_size=4, shuffle=shuffle, collate_fn=lambda b: collate(b, 4))


def make(tmp_path, kind=runners.EpochBasedRunner, wrapper=MMDataParallel, **length):
    model = wrapper(Model(), device_ids=[0])
    optimizer = runners.build_optimizer(model, ConfigDict(type='SGD', lr=0.1, momentum=0.9))
    runner = kind(model, optimizer=optimizer, work_dir=str(tmp_path), logger=LOGGER, meta=dict(env_info='x'), **length)
    runner.timestamp = '20200101_000000'
    return runner


CONFIGS = ConfigDict(
    lr_config=dict(policy='step', step=[1]),
    optimizer_config=dict(grad_clip=dict(max_norm=35, norm_type=2)),
    checkpoint_config=dict(interval=1, meta=dict(CLASSES=['a'], mmseg_version='0.30.0')),
    log_config=dict(interval=1, hooks=[dict(type='TextLoggerHook')]),
)


def register(runner, **changed):
    cfg = {**CONFIGS, **changed}
    runner.register_training_hooks(
        cfg['lr_config'], cfg['optimizer_config'], cfg['checkpoint_config'], cfg['log_config'], None
    )


@pytest.mark.parametrize('wrapper', [MMDataParallel, MMDistributedDataParallel])
def test_a_run_that_a_project_builds_itself(tmp_path, wrapper):
    runner = make(tmp_path, wrapper=wrapper, max_epochs=2)
    register(runner)
    runner.register_hook(hooks.DistSamplerSeedHook())
    evaluation = hooks.EvalHook(loader(), interval=1, save_best='acc', metric='acc')
    runner.register_hook(evaluation, priority='LOW')
    before = runner.model.module.fc.weight.clone()
    runner.run([loader(shuffle=True)], [('train', 1)])
    assert (runner.epoch, runner.iter, runner._epoch, runner._iter) == (2, 4, 2, 4)
    assert not torch.equal(before, runner.model.module.fc.weight)
    files = sorted(f.name for f in tmp_path.iterdir())
    assert files == ['20200101_000000.log.json', 'best_acc_epoch_2.pth', 'epoch_1.pth', 'epoch_2.pth', 'latest.pth']
    content = checkpoints._load_checkpoint(tmp_path / 'latest.pth')
    assert list(content['state_dict']) == ['fc.weight', 'fc.bias']
    assert (content['meta']['epoch'], content['meta']['iter']) == (2, 4)
    assert content['meta']['CLASSES'] == ['a']
    assert evaluation.best_ckpt_path == str(tmp_path / 'best_acc_epoch_2.pth')
    assert runner.model.training
    assert runner.current_lr() == [pytest.approx(0.01)]


def test_a_run_goes_on_where_it_ended(tmp_path):
    whole = make(tmp_path / 'whole', max_epochs=2)
    register(whole)
    whole.run([loader()], [('train', 1)])
    first = make(tmp_path / 'parts', max_epochs=1)
    register(first)
    first.run([loader()], [('train', 1)])
    second = make(tmp_path / 'parts', max_epochs=2)
    register(second)
    second.resume(str(tmp_path / 'parts' / 'epoch_1.pth'))
    assert second.epoch == 1
    second.run([loader()], [('train', 1)])
    assert torch.equal(second.model.module.fc.weight, whole.model.module.fc.weight)


def test_iterations_through_the_builder_and_weights_alone(tmp_path):
    model = MMDataParallel(Model(), device_ids=[0])
    arguments = dict(
        model=model, batch_processor=None, optimizer=runners.build_optimizer(model, dict(type='SGD', lr=0.1)),
        work_dir=str(tmp_path), logger=LOGGER, meta=None,
    )  # fmt: skip
    runner = runners.build_runner(ConfigDict(type='IterBasedRunner', max_iters=5), default_args=arguments)
    assert type(runner) is runners.IterBasedRunner
    register(
        runner,
        lr_config=dict(policy='poly', power=0.9, by_epoch=False),
        checkpoint_config=dict(by_epoch=False, interval=5),
        log_config=dict(interval=5, hooks=[dict(type='TextLoggerHook', by_epoch=False)]),
    )
    evaluation = hooks.EvalHook(loader(), interval=2, by_epoch=False, save_best='auto', rule='greater')
    runner.register_hook(evaluation)
    runner.run([loader()], [('train', 1)])
    assert runner.iter == 5
    assert evaluation.key_indicator == 'acc'
    assert (tmp_path / 'iter_5.pth').is_file()
    assert (tmp_path / 'best_acc_iter_4.pth').is_file()
    other = make(tmp_path)
    meta = other.load_checkpoint(str(tmp_path / 'iter_5.pth'))['meta']
    assert meta['iter'] == 5
    assert torch.equal(other.model.module.fc.weight, model.module.fc.weight)


class Overriding(runners.EpochBasedRunner):
    """As projects do that keep the state of another library in their checkpoints."""

    def save_checkpoint(
        self, out_dir, filename_tmpl='epoch_{}.pth', save_optimizer=True, meta=None, create_symlink=False
    ):
        meta = dict(meta or {}, epoch=self.epoch + 1, iter=self.iter)
        name = filename_tmpl.format(self.epoch + 1)
        self.written = [*getattr(self, 'written', []), (out_dir, name, save_optimizer, create_symlink)]
        optimizer = self.optimizer if save_optimizer else None
        checkpoints.save_checkpoint(self.model, f'{out_dir}/{name}', optimizer=optimizer, meta=meta)

    def resume(self, checkpoint, resume_optimizer=True, map_location='default'):
        content = self.load_checkpoint(checkpoint, map_location='cpu')
        self._epoch = content['meta']['epoch']
        self._iter = content['meta']['iter']
        self.meta = content['meta']
        if 'optimizer' in content and resume_optimizer:
            self.optimizer.load_state_dict(content['optimizer'])


def test_overridden_files_of_a_run(tmp_path):
    runner = make(tmp_path, Overriding, max_epochs=1)
    register(runner)
    runner.register_hook(hooks.EvalHook(loader(), save_best='acc'))
    runner.run([loader()], [('train', 1)])
    folder = str(tmp_path)
    assert runner.written == [(folder, 'epoch_1.pth', True, True), (folder, 'best_acc_epoch_1.pth', True, False)]
    other = make(tmp_path, Overriding, max_epochs=2)
    register(other)
    other.resume(str(tmp_path / 'epoch_1.pth'))
    assert (other.epoch, other.meta['hook_msgs']) == (1, {})
    other.run([loader()], [('train', 1)])
    assert (tmp_path / 'epoch_2.pth').is_file()


class Clipping(hooks.OptimizerHook):
    """As projects write it: without the constructor of the base."""

    def __init__(self, update_interval=1, grad_clip=None):
        self.grad_clip = grad_clip
        self.update_interval = update_interval

    def before_run(self, runner):
        runner.optimizer.zero_grad()

    def after_train_iter(self, runner):
        runner.outputs['loss'] /= self.update_interval
        runner.outputs['loss'].backward()
        if self.every_n_iters(runner, self.update_interval):
            self.clip_grads(runner.model.parameters())
            runner.optimizer.step()
            runner.optimizer.zero_grad()


def trained_with(tmp_path, hook):
    runner = make(tmp_path, max_epochs=2)
    register(runner, optimizer_config=hook, checkpoint_config=dict(interval=1))
    runner.run([loader()], [('train', 1)])
    return runner.model.module.fc.weight


def test_hooks_that_update(tmp_path):
    clip = dict(max_norm=0.5)
    own = trained_with(tmp_path / 'a', Clipping(2, clip))
    ours = trained_with(tmp_path / 'b', hooks.DistOptimizerHook(update_interval=2, grad_clip=clip))
    torch.testing.assert_close(own, ours)
    full = trained_with(tmp_path / 'c', hooks.OptimizerHook())
    half = trained_with(tmp_path / 'd', hooks.Fp16OptimizerHook(loss_scale=8.0, distributed=False))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=1e-2, rtol=1e-2)
    dynamic = trained_with(tmp_path / 'e', hooks.DistOptimizerHook(use_fp16=True))
    assert dynamic.isfinite().all()


def test_when_it_is_evaluated(tmp_path):
    class Counting(hooks.EvalHook):
        def _do_evaluate(self, runner):
            done.append(runner.epoch)

    done = []
    runner = make(tmp_path, max_epochs=6)
    register(runner, checkpoint_config=None)
    runner.register_hook(Counting(loader(), start=3, interval=2))
    runner.run([loader()], [('train', 1)])
    assert done == [2, 4]  # the third and the fifth


def test_rules_of_metrics():
    for key, rule in (('acc', 'greater'), ('mIoU', 'greater'), ('loss_x', 'less')):
        assert hooks.EvalHook([], save_best=key).rule == rule
    assert hooks.EvalHook([], save_best='x', less_keys=['x']).rule == 'less'
    with pytest.raises(KeyError, match='rule must be greater'):
        hooks.EvalHook([], save_best='acc', rule='more')
    with pytest.raises(ValueError, match='interval'):
        hooks.EvalHook([], interval=0)
    hook = hooks.EvalHook([], pre_eval=True, efficient_test=False, metric='mIoU')
    assert (hook.eval_kwargs, hook.test_kwargs) == ({'metric': 'mIoU'}, {'pre_eval': True})


def test_a_runner_is_one_of_ours_too(tmp_path):
    assert isinstance(make(tmp_path, max_epochs=1), OurRunner)
    with pytest.raises(TypeError, match='train_step'):
        runners.EpochBasedRunner(Model(), lambda *args: None)


def test_an_optimizer_that_does_the_update():
    model = Model()
    cfg = dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1), clip_grad=dict(max_norm=1), accumulative_counts=2
    )
    wrapper = runners.build_optim_wrapper(model, cfg)
    before = model.fc.weight.clone()
    wrapper.update_params(model.fc(torch.ones(1, 3)).sum())
    assert torch.equal(before, model.fc.weight)
    wrapper.update_params(model.fc(torch.ones(1, 3)).sum())
    assert not torch.equal(before, model.fc.weight)
    assert wrapper.param_groups[0]['lr'] == 0.1


def test_seeds():
    assert runners.init_random_seed(3) == 3
    assert 0 <= runners.init_random_seed() < 2**31
    runners.set_random_seed(5)
    first = (torch.rand(1).item(), np.random.rand())
    assert runners.set_random_seed(5, deterministic=False) == 5
    assert (torch.rand(1).item(), np.random.rand()) == first
