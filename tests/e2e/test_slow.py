"""What takes longer: the quick start as its docstring states it, and a run that is killed again and again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time

import pytest

from tests.e2e.test_train import RECIPE, SHORT, intarsia, same, weights

pytestmark = pytest.mark.slow


def test_the_quick_start_reaches_its_accuracy(tmp_path):
    start = time.monotonic()
    done = intarsia('train', RECIPE, '--seed', 0, '--json', cwd=tmp_path)
    print(f'{time.monotonic() - start:.0f} seconds')  # noqa: T201
    assert json.loads(done.stdout)['metrics']['accuracy_top-1'] > 88
    assert (tmp_path / 'work_dirs' / 'resnet_cifar_fashion_mnist' / 'confusion_matrix.png').exists()


def test_many_kills(tmp_path):
    options = [*SHORT, 'runner.max_epochs=3', 'checkpoint_config.interval=1', 'checkpoint_config.by_epoch=False',
               'checkpoint_config.max_keep_ckpts=3', 'log_config.interval=1']  # fmt: skip

    def command(name):
        return [sys.executable, '-m', 'intarsia', 'train', RECIPE, '--work-dir', name, '--seed', '3', '--auto-resume',
                '--no-validate', '--cfg-options', *options]  # fmt: skip

    subprocess.run(command('whole'), cwd=tmp_path, check=True, capture_output=True)
    chance = random.Random(0)
    for _ in range(8):
        process = subprocess.Popen(
            command('killed'), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(3, 9))
        process.kill()
        process.wait()
    subprocess.run(command('killed'), cwd=tmp_path, check=True, capture_output=True)
    assert same(weights(tmp_path / 'whole' / 'iter_72.pth'), weights(tmp_path / 'killed' / 'iter_72.pth'))
    assert not list((tmp_path / 'killed').glob('.*.tmp')), (
        'a killed write leaves nothing that a later one does not clear'
    )
