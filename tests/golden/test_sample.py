"""A sample of the golden fixtures: what can be built must be equal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.golden.report import kind_of, read_records, run_record

RECORDS = list(read_records(Path(__file__).with_name('sample.jsonl.xz')))


@pytest.fixture(scope='module', autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    'number', range(len(RECORDS)), ids=lambda i: f'{kind_of(RECORDS[i])}-{RECORDS[i].get("id", i)}'
)
def test_fixture(number, tmp_path):
    outcome = run_record(RECORDS[number], str(tmp_path))
    if outcome.missing:
        pytest.skip(f'missing: {", ".join(outcome.missing)}')
    assert outcome.error is None
    assert outcome.built
    assert outcome.keys_equal in (True, None)
    assert outcome.equal


def test_most_of_the_sample_can_be_built():
    kinds = {kind_of(r) for r in RECORDS}
    assert kinds == {'forward', 'loss', 'loss_module', 'schedule', 'pipeline', 'transform', 'batch', 'metric'}
