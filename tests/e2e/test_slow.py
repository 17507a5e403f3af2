"""What takes longer: the quick start as its docstring states it, and a run that is killed again and again."""

from __future__ import annotations

import json
import random
import time

import pytest

from tests.e2e import killing
from tests.e2e.test_train import RECIPE, intarsia

pytestmark = pytest.mark.slow


def test_the_quick_start_reaches_its_accuracy(tmp_path):
    start = time.monotonic()
    done = intarsia('train', RECIPE, '--seed', 0, '--json', cwd=tmp_path)
    print(f'{time.monotonic() - start:.0f} seconds')  # noqa: T201
    assert json.loads(done.stdout)['metrics']['accuracy_top-1'] > 88
    assert (tmp_path / 'work_dirs' / 'resnet_cifar_fashion_mnist' / 'confusion_matrix.png').exists()


@pytest.mark.parametrize('length', [killing.EPOCHS, killing.ITERS], ids=['epochs', 'iterations'])
def test_many_kills(tmp_path, length):
    """Ten kills each: at random moments and, every third time, while a checkpoint is being written."""
    options, chance = [*killing.EVERYTHING, *length], random.Random(0)
    killing.finish(tmp_path, 'whole', options)
    for number in range(10):
        if number % 3 == 2:
            killing.kill_while_writing(tmp_path, 'killed', options)
        else:
            killing.kill_at_random(tmp_path, 'killed', options, chance)
    killing.finish(tmp_path, 'killed', options)
    killing.assert_same_ends(tmp_path, 'whole', 'killed')
    assert not list((tmp_path / 'killed').glob('.*.tmp')), (
        'a killed write leaves nothing that a later one does not clear'
    )
