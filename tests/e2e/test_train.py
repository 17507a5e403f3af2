"""Whole runs through the command line, on the embedded data set, cut short."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

RECIPE = 'intarsia::classification/resnet_cifar_fashion_mnist.py'
SHORT = ['model.backbone.base_channels=4', 'model.backbone.stem_channels=4', 'model.head.in_channels=16',
         'data.samples_per_gpu=256', 'model.backbone.zero_init_residual=False', 'log_config.interval=5', 'custom_hooks=[]']  # fmt: skip


def intarsia(*args, cwd, check=True, **kwargs):
    done = subprocess.run(
        [sys.executable, '-m', 'intarsia', *map(str, args)], cwd=cwd, capture_output=True, text=True, **kwargs
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def train(folder, work_dir, *args, options=(), check=True):
    return intarsia(
        'train', RECIPE, '--work-dir', work_dir, '--seed', 3, *args, '--cfg-options', *SHORT, 'runner.max_epochs=2',
        *options, cwd=folder, check=check,
    )  # fmt: skip


def weights(file):
    return torch.load(file, weights_only=True)['state_dict']


def same(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    train(folder, 'whole', options=['custom_hooks=[]'])
    return folder


def test_a_run_writes_what_it_promises(run):
    names = {p.name for p in (run / 'whole').iterdir()}
    assert {'epoch_1.pth', 'epoch_2.pth', 'latest.pth'} <= names
    assert any(n.startswith('best_accuracy_top-1_epoch_') for n in names)
    records = [json.loads(line) for p in (run / 'whole').glob('*.log.json') for line in p.read_text().splitlines()]
    assert records[0]['seed'] == 3
    train_records = [r for r in records[1:] if r['mode'] == 'train']
    assert {'epoch', 'iter', 'lr', 'time', 'data_time', 'loss'} <= train_records[0].keys()
    assert train_records[-1]['loss'] < train_records[0]['loss']
    assert [r['epoch'] for r in records[1:] if r['mode'] == 'val'] == [1, 2]


def test_two_runs_with_one_seed_are_identical(run):
    train(run, 'again', options=['data.workers_per_gpu=2'])
    assert same(weights(run / 'whole' / 'epoch_2.pth'), weights(run / 'again' / 'epoch_2.pth'))


def test_test_and_predict_and_python_agree(run):
    checkpoint = run / 'whole' / 'epoch_2.pth'
    done = intarsia('test', RECIPE, checkpoint, '--json', '--cfg-options', *SHORT, cwd=run)
    outcome = json.loads(done.stdout)
    assert outcome['num_samples'] == 1000
    log = next((run / 'whole').glob('*.log.json')).read_text().splitlines()
    last = json.loads(log[-1])
    assert outcome['metrics']['accuracy_top-1'] == pytest.approx(last['accuracy_top-1'], abs=1e-4)

    import cv2

    import intarsia as package
    from intarsia.core.registries import DATASETS

    data = DATASETS.of('classification').build(
        dict(type='FashionMNIST', data_prefix='intarsia::fashion_mnist', pipeline=[], test_mode=True)
    )
    img = data.prepare(7)['img']
    cv2.imwrite(str(run / 'seven.png'), img)
    model = package.load(RECIPE, checkpoint, cfg_options=SHORT)
    by_array = model.predict([img])[0]
    done = intarsia('predict', RECIPE, checkpoint, 'seven.png', '--json', '--cfg-options', *SHORT, cwd=run)
    answer = json.loads(done.stdout)[0]
    assert answer['result']['label'] == by_array.label
    assert answer['result']['class_name'] == by_array.class_name
    assert answer['result']['score'] == pytest.approx(by_array.score, abs=1e-5)
    assert (run / answer['output']).exists()


@pytest.mark.parametrize('workers', [0, 2])
def test_a_killed_run_resumes_to_the_same_weights(run, workers):
    """Kill at a random moment, resume, compare with the run that was never killed."""
    name = f'killed_{workers}'
    options = [
        'checkpoint_config.interval=3',
        'checkpoint_config.by_epoch=False',
        f'data.workers_per_gpu={2 - workers}',
    ]
    command = [sys.executable, '-m', 'intarsia', 'train', RECIPE, '--work-dir', name, '--seed', '3', '--cfg-options',
               *SHORT, 'runner.max_epochs=2', *options]  # fmt: skip
    process = subprocess.Popen(command, cwd=run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((run / name).glob('iter_*.pth')) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    options[-1] = f'data.workers_per_gpu={workers}'
    train(run, name, '--auto-resume', options=options)
    last = max((run / name).glob('iter_*.pth'), key=lambda f: int(f.stem[5:]))
    assert same(weights(run / 'whole' / 'epoch_2.pth'), weights(last))


@pytest.mark.skipif(not hasattr(signal, 'SIGTERM') or os.name == 'nt', reason='needs POSIX signals')
def test_sigterm_saves_and_the_run_can_go_on(run):
    command = [sys.executable, '-m', 'intarsia', 'train', RECIPE, '--work-dir', 'stopped', '--seed', '3',
               '--cfg-options', *SHORT, 'runner.max_epochs=2', 'log_config.interval=1']  # fmt: skip
    process = subprocess.Popen(command, cwd=run, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if 'Epoch [1][3/' in line:
            process.send_signal(signal.SIGTERM)
            break
    process.stderr.read()
    assert process.wait() == 128 + signal.SIGTERM
    saved = next((run / 'stopped').glob('iter_*.pth'))
    train(run, 'stopped', '--resume-from', saved)
    assert same(weights(run / 'whole' / 'epoch_2.pth'), weights(run / 'stopped' / 'epoch_2.pth'))


def test_a_complete_run_is_not_run_again(run):
    done = train(run, 'whole', '--auto-resume')
    assert 'there is nothing to do' in done.stderr


def test_a_config_with_mistakes_ends_with_2_before_anything_is_written(run):
    done = train(run, 'never', options=['optimizer.lrr=1', 'model.backbone.dept=18'], check=False)
    assert done.returncode == 2
    assert "Did you mean 'lr'?" in done.stderr
    assert 'model.backbone.dept' in done.stderr
    assert not (run / 'never').exists()


def test_a_missing_or_truncated_checkpoint_ends_with_3(run):
    whole = (run / 'whole' / 'epoch_2.pth').read_bytes()
    (run / 'half.pth').write_bytes(whole[: len(whole) // 2])
    for name, text in (('gone.pth', 'no checkpoint'), ('half.pth', 'truncated')):
        done = intarsia('test', RECIPE, name, '--cfg-options', *SHORT, cwd=run, check=False)
        assert done.returncode == 3
        assert text in done.stderr


def test_auto_resume_passes_over_a_truncated_file(run):
    folder = run / 'broken'
    train(run, 'broken')
    newest = folder / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:1000])
    done = train(run, 'broken', '--auto-resume')
    assert 'epoch_1.pth' in done.stderr
    assert same(weights(run / 'whole' / 'epoch_2.pth'), weights(newest))


def test_validation_losses_change_no_weights(run):
    train(run, 'flows', options=['workflow=[(train,1),(val,1)]'])
    assert same(weights(run / 'whole' / 'epoch_2.pth'), weights(run / 'flows' / 'epoch_2.pth'))
    records = [json.loads(line) for p in (run / 'flows').glob('*.log.json') for line in p.read_text().splitlines()]
    assert any(r.get('mode') == 'val' and 'loss' in r for r in records)
