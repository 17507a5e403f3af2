"""Two processes with shards of the model (gloo) do what one process does, and go on as any number of processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from intarsia.cli.main import main
from intarsia.core.errors import ConfigError
from intarsia.engine.checkpoint import sharded
from intarsia.engine.checkpoint.files import find_newest
from intarsia.engine.fully_shard import FullyShard
from tests.e2e.test_distributed import close, records
from tests.e2e.test_train import RECIPE, SHORT

ITERS = 12
OPTIONS = [*SHORT, 'strategy=fsdp', 'runner.type=IterBasedRunner', f'runner.max_iters={ITERS}', 'runner.max_epochs=None',
           'log_config.interval=1', 'evaluation.loss=True', f'evaluation.interval={ITERS}',
           'checkpoint_config.interval=4', 'checkpoint_config.by_epoch=False', 'checkpoint_config.max_keep_ckpts=-1',
           'model.backbone.norm_cfg.type=GN', 'model.backbone.norm_cfg.num_groups=2',
           'optimizer.type=SGD', 'optimizer.lr=0.05', 'optimizer.momentum=0.9', 'lr_config.warmup=None',
           'optimizer_config.cumulative_iters=3', 'optimizer_config.grad_clip.max_norm=1.0']  # fmt: skip


def command(work_dir, *options, processes=2, arguments=()):
    start = ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}'] if processes > 1 else []
    samples = [f'data.samples_per_gpu={256 // processes}']
    return [sys.executable, *start, '-m', 'intarsia', 'train', RECIPE, '--work-dir', work_dir, '--seed', '3', *arguments,
            '--cfg-options', *OPTIONS, *samples, *options]  # fmt: skip


def run(folder, *args, check=True, **kwargs):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(command(*args, **kwargs), cwd=folder, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


def weights(checkpoint):
    whole = sharded.read(checkpoint) if checkpoint.is_dir() else torch.load(checkpoint, weights_only=True)
    return whole['state_dict']


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('fsdp')
    run(folder, 'one', processes=1)
    run(folder, 'two')
    return folder


def test_losses_and_weights_are_those_of_one_process(runs):
    one, two = records(runs / 'one'), records(runs / 'two')
    for name in ('loss', 'grad_norm'):
        values = [[r[name] for r in each if r['mode'] == 'train' and name in r] for each in (one, two)]
        assert len(values[0]) >= ITERS // 3
        assert values[1] == pytest.approx(values[0], rel=3e-5), 'the log rounds to five digits'
    close(weights(runs / 'one' / 'iter_12.pth'), weights(runs / 'two' / 'iter_12'))
    assert two[-1]['accuracy_top-1'] == pytest.approx(one[-1]['accuracy_top-1'], abs=0.11), 'one image of a thousand'
    assert two[-1]['loss'] == pytest.approx(one[-1]['loss'], rel=1e-4)


def test_checkpoints_are_folders(runs):
    names = {p.name for p in (runs / 'two').iterdir()}
    assert {'iter_4', 'iter_8', 'iter_12', 'latest'} <= names
    assert any(n.startswith('best_accuracy_top-1_iter_12') for n in names)
    assert not any(n.startswith('.') or n.endswith('.pth') for n in names)
    assert os.readlink(runs / 'two' / 'latest') == 'iter_12'
    assert sum(n.endswith('.distcp') for n in os.listdir(runs / 'two' / 'iter_12')) == 2


def test_a_run_goes_on_with_another_number_of_processes(runs):
    """From two to one to two, each time between the iterations whose gradients are added up."""
    run(runs, 'to_one', processes=1, arguments=['--resume-from', 'two/iter_4'])
    run(runs, 'to_two', 'checkpoint_config.max_keep_ckpts=1', 'checkpoint_config.interval=1',
        arguments=['--resume-from', 'to_one/iter_8.pth'])  # fmt: skip
    assert [p.name for p in (runs / 'to_two').glob('iter_*')] == ['iter_12']
    for name in ('to_one/iter_12.pth', 'to_two/iter_12'):
        close(weights(runs / 'one' / 'iter_12.pth'), weights(runs / name))


@pytest.mark.slow
def test_a_killed_run_leaves_whole_checkpoints(runs):
    with (runs / 'killed.log').open('w') as log:
        process = subprocess.Popen(
            command('killed', 'checkpoint_config.interval=1'), cwd=runs, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + 120
        while not (runs / 'killed' / 'iter_3').exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    found = list((runs / 'killed').glob('iter_*'))
    assert found, (runs / 'killed.log').read_text()
    for folder in found:
        sharded.check_intact(folder)
    run(runs, 'killed', arguments=['--auto-resume'])
    close(weights(runs / 'one' / 'iter_12.pth'), weights(runs / 'killed' / 'iter_12'))
    assert not [p for p in (runs / 'killed').iterdir() if p.name.startswith('.')]


def test_broken_folders_are_not_taken(runs, tmp_path, capsys):
    for name in ('iter_4', 'iter_8', 'iter_12'):
        shutil.copytree(runs / 'two' / name, tmp_path / name)
    with (tmp_path / 'iter_12' / '__1_0.distcp').open('r+b') as part:
        part.truncate(100)
    (tmp_path / 'iter_8' / '.metadata').unlink()
    shutil.copytree(runs / 'two' / 'iter_12', tmp_path / '.iter_12.tmp')
    assert find_newest(tmp_path) == tmp_path / 'iter_4'
    assert main(['checkpoint', 'show', str(tmp_path / 'iter_12')]) == 3
    assert 'truncated' in capsys.readouterr().err


def test_metadata_runs_no_code(runs, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / 'ran'),))

    shutil.copytree(runs / 'two' / 'iter_4', tmp_path / 'iter_4')
    (tmp_path / 'iter_4' / '.metadata').write_bytes(pickle.dumps(Evil()))
    assert find_newest(tmp_path) is None
    assert not (tmp_path / 'ran').exists()


def test_merge_and_show(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    assert main(['checkpoint', 'merge', 'two/iter_12', 'merged.pth']) == 0
    whole, shards = (show(name, capsys) for name in ('merged.pth', 'two/latest'))
    assert shards['kind'] == 'sharded run'
    assert whole['kind'] == 'run'
    assert whole['meta']['iter'] == 12
    assert whole['meta']['seed'] == 3
    assert len(whole['classes']) == 10
    assert {'OptimizerHook', 'EvalHook'} <= set(whole['hooks'])
    state = torch.load(runs / 'one' / 'iter_12.pth', weights_only=True)['state_dict']
    assert whole['num_parameters'] == sum(v.numel() for v in state.values())
    assert whole['dtypes'] == {'float32': len(state)}
    assert {**whole, 'kind': None, 'path': None} == {**shards, 'kind': None, 'path': None}
    assert main(['test', RECIPE, 'merged.pth', '--json', '--cfg-options', *OPTIONS]) == 0
    last = records(runs / 'two')[-1]['accuracy_top-1']
    assert json.loads(capsys.readouterr().out)['metrics']['accuracy_top-1'] == pytest.approx(last, abs=1e-3)
    assert main(['test', RECIPE, 'two/iter_12', '--cfg-options', *OPTIONS]) == 3
    assert 'checkpoint merge' in capsys.readouterr().err


def show(name, capsys):
    assert main(['checkpoint', 'show', str(name), '--json']) == 0
    return json.loads(capsys.readouterr().out)


WORKER = """
import sys
import torch
from torch import nn
from intarsia.core.registries import OPTIMIZERS
from intarsia.engine import distributed
from intarsia.engine.evaluation import evaluate
from intarsia.engine.fully_shard import FullyShard
from pathlib import Path

torch.set_num_threads(1)
world = distributed.find_world()
distributed.start(world, None, torch.device('cpu'), {})


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(2))
        self.head = nn.Linear(6, 1)  # too little for two processes

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)

    def train_step(self, batch, optimizer=None):
        loss = self(batch['img']).square().mean()
        return {'loss': loss, 'log_vars': {'loss': loss.detach()}, 'num_samples': len(batch['img'])}

    def val_step(self, batch, optimizer=None):
        return self.train_step(batch)

    def predict(self, inputs, metas=None):
        return list(self(inputs))


class Count:
    def reset(self): self.n = 0
    def update(self, results, batch): self.n += len(results)
    def state(self): return self.n
    def merge(self, state): self.n += state
    def compute(self): return {'n': self.n}


class Batches(list):
    world_size = 2


full = [torch.randn(4, 6, dtype=torch.double, generator=torch.Generator().manual_seed(i)) for i in range(3)]
for name in ('AdamW', 'SGD', 'Lamb', 'LARS', 'Adan', 'RMSprop'):
    torch.manual_seed(0)
    plain = Model().double()
    torch.manual_seed(world.rank)  # the shards are those of the first process
    model = Model().double()
    strategy = FullyShard(model)
    optimizers = [OPTIMIZERS.build(dict(type=name, lr=0.1), params=m.parameters()) for m in (plain, model)]
    for x in full:
        for step, optimizer, batch in zip((plain.train_step, strategy.train_step), optimizers,
                                          (x, x[world.rank::2])):
            optimizer.zero_grad()
            step({'img': batch}, optimizer)['loss'].backward()
            optimizer.step()
    for (key, one), two in zip(plain.state_dict().items(), model.state_dict().values()):
        assert torch.allclose(one, two.full_tensor(), rtol=1e-9), (name, key)
metrics = evaluate(model, Batches({'img': x} for x in full[: 3 - world.rank]), Count())
assert metrics == {'n': 20}, metrics
before = {k: v.full_tensor() for k, v in model.state_dict().items()}
folder = Path(sys.argv[1]) / 'some'
strategy.write_checkpoint({'state_dict': strategy.model_state(), 'meta': {}}, folder, False)
with torch.no_grad():
    for parameter in model.parameters():
        parameter.zero_()  # what is written is what was there when writing began
again = strategy.read_checkpoint(folder)['state_dict']
assert all(torch.equal(again[k].full_tensor(), v) for k, v in before.items())
try:
    evaluate(model, Batches({'img': x} for x in full[: 1 - world.rank]), Count())
except Exception as error:
    assert 'too few samples' in str(error)
print('fine')
distributed.stop()
"""


def test_optimizers_small_layers_and_uneven_evaluation(tmp_path):
    (tmp_path / 'worker.py').write_text(WORKER)
    start = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2', 'worker.py', tmp_path]
    done = subprocess.run(list(map(str, start)), cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.count('fine') == 2, done.stderr


def test_half_precision_is_refused():
    with pytest.raises(ConfigError, match='fp32 or bf16'):
        FullyShard(torch.nn.Linear(2, 2), 'fp16')


@pytest.mark.slow
def test_averages_are_refused(tmp_path):
    done = run(tmp_path, 'refused', 'ema.momentum=0.1', check=False)
    assert done.returncode != 0
    assert 'whole weights' in done.stderr
