"""Two processes on one machine (gloo) do what one process does with the same global batch."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.e2e.test_train import RECIPE, SHORT, weights

OPTIONS = [*SHORT, 'runner.max_epochs=1', 'log_config.interval=1', 'evaluation.loss=True',
           'model.backbone.norm_cfg.type=GN', 'model.backbone.norm_cfg.num_groups=2',
           'optimizer.type=SGD', 'optimizer.lr=0.05', 'optimizer.weight_decay=1e-4']  # fmt: skip


def command(work_dir, *options, processes=1, arguments=()):
    start = [sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}', '-m']
    python = [sys.executable, '-m'] if processes == 1 else start
    samples = f'data.samples_per_gpu={256 // processes}'
    return [*python, 'intarsia', 'train', RECIPE, '--work-dir', work_dir, '--seed', '3', *arguments,
            '--cfg-options', *OPTIONS, samples, *options]  # fmt: skip


def run(folder, work_dir, *options, check=True, **kwargs):
    done = subprocess.run(command(work_dir, *options, **kwargs), cwd=folder, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


def records(folder):
    lines = [json.loads(line) for file in folder.glob('*.log.json') for line in file.read_text().splitlines()]
    return [line for line in lines if 'mode' in line]


def close(one, other):
    """Equal to 1e-5, relative to all weights: a bias near zero has no digits of its own."""
    flat = [torch.cat([value.double().flatten() for value in state.values()]) for state in (one, other)]
    assert (flat[0] - flat[1]).norm() / flat[0].norm() < 1e-5


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('distributed')
    run(folder, 'one')
    run(folder, 'two', processes=2)
    return folder


def test_losses_and_weights_are_those_of_one_process(runs):
    one, two = records(runs / 'one'), records(runs / 'two')
    losses = [[r['loss'] for r in each if r['mode'] == 'train'] for each in (one, two)]
    assert len(losses[0]) == len(losses[1]) == 24
    assert losses[1] == pytest.approx(losses[0], rel=2e-5), 'the log rounds to five digits'
    close(weights(runs / 'one' / 'epoch_1.pth'), weights(runs / 'two' / 'epoch_1.pth'))


def test_every_sample_is_evaluated_once(runs):
    one, two = (records(runs / name)[-1] for name in ('one', 'two'))
    assert one['mode'] == two['mode'] == 'val'
    assert two['accuracy_top-1'] == pytest.approx(one['accuracy_top-1'], abs=0.11), 'one image of a thousand'
    assert two['loss'] == pytest.approx(one['loss'], rel=1e-4)


def test_only_the_first_process_writes(runs):
    names = [file.name for file in (runs / 'two').iterdir()]
    assert sum(name.endswith('.log.json') for name in names) == 1
    assert sum(name.startswith('epoch_') for name in names) == 1


def test_a_stopped_run_goes_on_in_another_number_of_processes(runs):
    process = subprocess.Popen(
        command('stopped', 'checkpoint_config.interval=5', 'checkpoint_config.by_epoch=False', processes=2),
        cwd=runs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (runs / 'stopped' / 'iter_5.pth').exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0, output
    run(runs, 'stopped', arguments=['--auto-resume'])
    close(weights(runs / 'one' / 'epoch_1.pth'), weights(runs / 'stopped' / 'epoch_1.pth'))


def test_parameters_without_a_part_in_the_loss_are_named(tmp_path):
    module = tmp_path / 'with_unused.py'
    module.write_text(
        'from torch import nn\n'
        'from intarsia.core.registries import HEADS\n'
        'from intarsia.tasks.classification.heads.linear_cls_head import LinearClsHead\n'
        '@HEADS.register_module()\n'
        'class HeadWithUnused(LinearClsHead):\n'
        '    def __init__(self, **kwargs):\n'
        '        super().__init__(**kwargs)\n'
        '        self.unused = nn.Linear(2, 2)\n'
    )
    change = ['model.head.type=HeadWithUnused', 'custom_imports.imports=[with_unused]']
    done = run(tmp_path, 'unused', *change, processes=2, check=False)
    assert done.returncode != 0
    assert 'head.unused.weight, head.unused.bias' in done.stderr
    assert 'find_unused_parameters=True' in done.stderr
    run(tmp_path, 'allowed', *change, 'find_unused_parameters=True', processes=2)


def test_testing_shares_the_samples(runs):
    arguments = ['intarsia', 'test', RECIPE, 'one/epoch_1.pth', '--json', '--cfg-options', *OPTIONS]
    several = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2', '-m', *arguments]
    outcomes = [
        json.loads(subprocess.run(command, cwd=runs, capture_output=True, text=True, check=True).stdout)
        for command in ([sys.executable, '-m', *arguments], several)
    ]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0]['num_samples'] == 1000
