"""Checkpoints under their old names."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from intarsia.core.errors import CheckpointError
from intarsia.openmmlab import checkpoints
from intarsia.openmmlab.parallel import MMDataParallel


class Model(nn.Module):
    CLASSES = ('a', 'b')

    def __init__(self, width=2):
        super().__init__()
        self.fc = nn.Linear(2, width)


def test_what_is_written_is_read(tmp_path):
    model, file = Model(), tmp_path / 'sub' / 'x.pth'
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    checkpoints.save_checkpoint(MMDataParallel(model), str(file), optimizer=optimizer, meta=dict(epoch=3))
    other = Model()
    content = checkpoints.load_checkpoint(MMDataParallel(other), str(file), map_location='cpu', strict=True)
    assert torch.equal(other.fc.weight, model.fc.weight)
    assert content['meta']['epoch'] == 3
    assert content['meta']['CLASSES'] == ['a', 'b']
    assert set(content) == {'meta', 'state_dict', 'optimizer'}
    assert checkpoints._load_checkpoint(file)['optimizer'] == optimizer.state_dict()
    assert checkpoints.CheckpointLoader.load_checkpoint(str(file), 'cpu')['meta'] == content['meta']


def test_all_of_a_checkpoint_is_written_as_it_is(tmp_path):
    file = tmp_path / 'x.pth'
    checkpoints.save_checkpoint({'state_dict': {'a': torch.ones(1)}, 'message': 'x'}, str(file))
    assert checkpoints._load_checkpoint(str(file))['message'] == 'x'
    with pytest.raises(TypeError, match='meta must be'):
        checkpoints.save_checkpoint(Model(), str(file), meta=[])


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / 'w.pth'
    torch.save(
        {
            'state_dict': {
                'module.fc.weight': torch.ones(3, 2),
                'module.fc.bias': torch.ones(2),
                'module.x': torch.ones(1),
            }
        },
        file,
    )
    return str(file)


def test_what_does_not_fit_is_logged(weights, caplog):
    model, logger = Model(), logging.getLogger('tests.checkpoints')
    with caplog.at_level(logging.WARNING, 'tests.checkpoints'):
        checkpoints.load_checkpoint(model, weights, strict=False, logger=logger)
    assert torch.equal(model.fc.bias, torch.ones(2))
    assert 'fc.weight is (3, 2), expected (2, 2)' in caplog.text
    assert 'unexpected: x' in caplog.text


def test_strict_loading_is_an_error_of_both_kinds(weights):
    for kind in (RuntimeError, CheckpointError):
        with pytest.raises(kind, match='fc.weight'):
            checkpoints.load_checkpoint(Model(), weights, strict=True)


def test_names_are_revised(weights):
    model = nn.Sequential()
    model.add_module('head', Model(3))
    checkpoints.load_checkpoint(model, weights, revise_keys=[(r'^module\.', 'head.')], logger=logging.getLogger('x'))
    assert torch.equal(model.head.fc.weight, torch.ones(3, 2))


def test_a_missing_file_is_an_error_of_both_kinds(tmp_path):
    for kind in (FileNotFoundError, CheckpointError):
        with pytest.raises(kind, match='no checkpoint'):
            checkpoints.load_checkpoint(Model(), str(tmp_path / 'none.pth'))
    with pytest.raises(CheckpointError):
        checkpoints._load_checkpoint('https://example.com/none-1234.pth')


def test_states_without_wrappers_on_the_cpu():
    model = Model()
    state = checkpoints.weights_to_cpu(checkpoints.get_state_dict(MMDataParallel(model)))
    assert list(state) == ['fc.weight', 'fc.bias']
    assert state._metadata[''] == {'version': 1}
    assert list(checkpoints.get_state_dict(model, {'a': 1}, prefix='p.')) == ['a', 'p.fc.weight', 'p.fc.bias']


def test_the_newest_checkpoint(tmp_path):
    assert checkpoints.find_latest_checkpoint(str(tmp_path)) is None
    assert checkpoints.find_latest_checkpoint(str(tmp_path / 'none')) is None
    for number in (9, 10):
        checkpoints.save_checkpoint(Model(), str(tmp_path / f'epoch_{number}.pth'), meta=dict(iter=number))
    assert checkpoints.find_latest_checkpoint(str(tmp_path)) == str(tmp_path / 'epoch_10.pth')
