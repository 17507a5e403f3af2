"""The environment that Slurm makes, and the example script with a Slurm that is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intarsia.core.errors import ConfigError
from intarsia.engine import distributed
from tests.e2e.test_train import RECIPE, SHORT

SCRIPT = Path(__file__).resolve().parents[2] / 'examples' / 'slurm.sh'


def make_command(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\n{text}\n')
    (folder / name).chmod(0o755)


@pytest.fixture
def task(monkeypatch, tmp_path):
    """The environment of the third of four tasks, the first on its machine, where no scontrol is found."""
    for name in ('MASTER_ADDR', 'MASTER_PORT', 'RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    values = dict(SLURM_PROCID='2', SLURM_NTASKS='4', SLURM_LOCALID='0', SLURM_JOB_ID='123045', PATH=str(tmp_path))
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, 'environ', os.environ.copy())  # what is set in it stays here
    return tmp_path


def test_a_task_knows_who_it_is(task):
    assert distributed.find_world('slurm') == (2, 4, 0)
    assert distributed.find_world() == (0, 1, 0), 'a plain command in a job is alone'


def test_a_launcher_that_is_not_there(task, monkeypatch):
    monkeypatch.delenv('SLURM_PROCID')
    with pytest.raises(ConfigError, match='srun'):
        distributed.find_world('slurm')


@pytest.mark.parametrize(
    ('nodes', 'first'),
    [
        ('node7', 'node7'),
        ('node[01-04,07]', 'node01'),
        ('node[03,05-06],gpu[1-2]', 'node03'),
        ('gpu-a,gpu-b', 'gpu-a'),
        ('rack[2-3]-node[10-12].local', 'rack2-node10.local'),
    ],
)
def test_the_first_machine_is_the_address(task, monkeypatch, nodes, first):
    monkeypatch.setitem(os.environ, 'SLURM_JOB_NODELIST', nodes)
    distributed._slurm_environment()
    assert os.environ['MASTER_ADDR'] == first
    assert os.environ['MASTER_PORT'] == '29545'


def test_scontrol_knows_better(task, monkeypatch):
    make_command(task, 'scontrol', 'echo login-1; echo login-2')
    monkeypatch.setitem(os.environ, 'SLURM_JOB_NODELIST', 'odd{1..2}')
    distributed._slurm_environment()
    assert os.environ['MASTER_ADDR'] == 'login-1'


def test_the_script_saves_and_requeues(tmp_path):
    commands = tmp_path / 'bin'
    make_command(commands, 'srun', 'SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 exec "$@"')
    make_command(commands, 'scontrol', f'echo "$@" >> {tmp_path}/scontrol.log')
    make_command(commands, 'intarsia', f'exec {sys.executable} -m intarsia "$@"')
    path = f'{commands}:{os.environ["PATH"]}'
    environment = {**os.environ, 'PATH': path, 'SLURM_JOB_ID': '7', 'OMP_NUM_THREADS': '1'}
    command = ['bash', SCRIPT, RECIPE, '--work-dir', 'run', '--no-validate', '--cfg-options', *SHORT,
               'runner.max_epochs=2', 'checkpoint_config.interval=3', 'checkpoint_config.by_epoch=False']  # fmt: skip
    with (tmp_path / 'job.log').open('w') as log:
        job = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not (tmp_path / 'run' / 'iter_3.pth').exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        job.send_signal(signal.SIGUSR1)
        code = job.wait(timeout=120)
    assert code == 138, (tmp_path / 'job.log').read_text()
    assert (tmp_path / 'scontrol.log').read_text() == 'requeue 7\n'
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert 'resumed' in again.stdout + again.stderr
    assert (tmp_path / 'run' / 'iter_48.pth').exists()
    assert (tmp_path / 'scontrol.log').read_text() == 'requeue 7\n'
