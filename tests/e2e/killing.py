"""A training with everything that has a state, killed at random moments and while it writes."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import torch

from tests.e2e.test_train import RECIPE, SHORT

EVERYTHING = [
    *SHORT, 'log_config.interval=1', 'data.samples_per_gpu=1024', 'ema.momentum=0.01', 'ema.update_buffers=True',
    'optimizer_config.cumulative_iters=2', 'optimizer_config.grad_clip.max_norm=1.0', 'evaluation.save_best=loss',
    'evaluation.loss=True', 'checkpoint_config.by_epoch=False', 'checkpoint_config.interval=1',
    'checkpoint_config.max_keep_ckpts=3',
]  # fmt: skip
"""6 iterations an epoch, a checkpoint after each."""

EPOCHS = ['runner.max_epochs=3', "custom_hooks=[{'type': 'EarlyStoppingHook', 'monitor': 'loss', 'patience': 1}]"]
ITERS = ['runner.type=IterBasedRunner', 'runner.max_epochs=None', 'runner.max_iters=18', 'evaluation.interval=4']


def command(work_dir, options):
    return [sys.executable, '-m', 'intarsia', 'train', RECIPE, '--work-dir', work_dir, '--seed', '3', '--auto-resume',
            '--cfg-options', *options]  # fmt: skip


def finish(folder, work_dir, options):
    done = subprocess.run(command(work_dir, options), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def kill_at_random(folder, work_dir, options, chance: random.Random):
    """Let the run go on for a random time after its first new checkpoint, then kill it."""
    before = written(folder / work_dir)
    process = subprocess.Popen(command(work_dir, options), cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 120
    while process.poll() is None and written(folder / work_dir) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 1.5))
    process.kill()
    process.wait()


def written(folder):
    return {file.name for file in folder.glob('iter_*.pth')}


def kill_while_writing(folder, work_dir, options):
    """Kill the run as soon as a file of a checkpoint that is not complete is there."""
    process = subprocess.Popen(command(work_dir, options), cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and not list((folder / work_dir).glob('.*.tmp')):
        time.sleep(0.0005)
    process.kill()
    process.wait()


def assert_same_ends(folder, one, other):
    """The newest checkpoints of two runs agree in everything that training depends on."""
    ends = []
    for name in (one, other):
        newest = max((folder / name).glob('iter_*.pth'), key=lambda f: int(f.stem[5:]))
        ends.append((newest.name, torch.load(newest, weights_only=True)))
    (name_a, a), (name_b, b) = ends
    assert name_a == name_b
    for part in ('state_dict', 'ema_state_dict', 'optimizer', 'hooks'):
        assert_equal(a[part], b[part], part)


def assert_equal(a, b, path):
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_equal(a[key], b[key], f'{path}.{key}')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f'{path}.{i}')
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif path.rpartition('.')[2] not in ('score', 'loss') and 'best_files' not in path:
        assert a == b, path
