"""Runs that are killed end with the weights of runs that are not."""

from __future__ import annotations

import random

import pytest

from tests.e2e import killing


@pytest.mark.parametrize('length', [killing.EPOCHS, killing.ITERS], ids=['epochs', 'iterations'])
def test_a_killed_run_ends_as_one_that_was_not(tmp_path, length):
    options, chance = [*killing.EVERYTHING, *length], random.Random(len(length))
    killing.finish(tmp_path, 'whole', options)
    killing.kill_at_random(tmp_path, 'killed', options, chance)
    killing.kill_while_writing(tmp_path, 'killed', [*options, 'data.workers_per_gpu=1'])
    done = killing.finish(tmp_path, 'killed', options)
    assert 'resumed' in done.stderr
    killing.assert_same_ends(tmp_path, 'whole', 'killed')
    assert not list((tmp_path / 'killed').glob('.*.tmp')), 'a later write clears what a killed one has left'
