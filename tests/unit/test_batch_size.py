"""The search for the largest batch, with steps that only pretend to need memory, and with real ones."""

from __future__ import annotations

import json
import mmap

import pytest
import torch

from intarsia.api import batch_size
from intarsia.api.batch_size import MeasuredMemory, Trial, find_batch_size
from intarsia.api.place import Place
from intarsia.cli.main import main
from intarsia.config.check import checked
from intarsia.config.file import load_config
from intarsia.config.override import apply_options
from intarsia.config.schema import to_run_config

RECIPE = 'intarsia::classification/resnet_cifar_fashion_mnist.py'
SMALL = ['model.backbone.base_channels=4', 'model.backbone.stem_channels=4', 'model.head.in_channels=16']


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize('limit', [1, 2, 3, 64, 100, 4096])
@pytest.mark.parametrize('capacity', [0, 1, 2, 3, 5, 63, 64, 65, 100, 5000])
def test_the_largest_that_fits_is_found(capacity, limit):
    sizes = []

    def try_step(size):
        sizes.append(size)
        return 10.0 * size if size <= capacity else None

    largest, tried = find_batch_size(try_step, limit)
    assert largest == min(capacity, limit)
    assert list(tried) == sizes, 'no size is tried twice'
    assert all(1 <= size <= limit for size in sizes)
    assert tried.get(largest) == (10.0 * largest if largest else None)
    assert len(sizes) <= 2 * limit.bit_length() + 1


def make_trial(*options, memory=None):
    config = load_config(RECIPE)
    apply_options(config, [*SMALL, *options])
    run = to_run_config(checked(config).values)
    return Trial(run, Place(torch.device('cpu')), memory or batch_size.Memory())


def test_a_trial_trains():
    trial = make_trial('data.samples_per_gpu=3', 'channels_last=True', 'precision=bf16')
    before = [p.detach().clone() for p in trial.model.parameters()]
    assert trial(8) > 0
    assert any(not torch.equal(p, b) for p, b in zip(trial.model.parameters(), before, strict=True))
    assert all(p.grad is None for p in trial.model.parameters())
    batch = trial._batch_of(8)
    assert batch['img'].shape == (8, 1, 28, 28)
    assert torch.equal(batch['img'][:3], batch['img'][3:6])
    assert torch.equal(batch['gt_label'][[0, 1]], batch['gt_label'][[6, 7]])


def test_too_little_memory_is_caught_and_other_errors_are_not(monkeypatch):
    trial = make_trial()

    def fail(error):
        def train_step(batch, optimizer):
            raise error

        monkeypatch.setattr(trial.strategy, 'train_step', train_step)

    for error in (torch.OutOfMemoryError('CUDA out of memory.'), RuntimeError('MPS backend out of memory')):
        fail(error)
        assert trial(4) is None
    fail(RuntimeError('shapes do not match'))
    with pytest.raises(RuntimeError, match='shapes'):
        trial(4)


def test_memory_of_the_process_is_measured():
    memory = MeasuredMemory(10**6)
    memory.reset()
    before = memory.peak_mb()
    assert memory.was_enough()
    with mmap.mmap(-1, 64 * 2**20) as pages:  # new ones, which a busy process may not have lying about
        pages.write(b'1' * len(pages))
        assert 60 < memory.peak_mb() - before < 140
    assert memory.peak_mb() - before > 60, 'a peak stays'
    memory.reset()
    assert memory.peak_mb() - before < 40, 'until it is counted anew'
    assert not MeasuredMemory(1).was_enough()


def test_the_command(capsys):
    arguments = ['batch-size', RECIPE, '--device', 'cpu', '--max', '5', '--json', '--cfg-options', *SMALL]
    assert main([*arguments[: -len(SMALL) - 1], '--memory-mb', '100000', '--cfg-options', *SMALL]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document['largest'] == document['max'] == 5
    assert [each['size'] for each in document['tried']] == [2, 4, 5]
    assert main([*arguments[: -len(SMALL) - 1], '--memory-mb', '1', '--cfg-options', *SMALL]) == 1
    assert json.loads(capsys.readouterr().out)['largest'] == 0
    assert main(arguments) == 2, 'the memory of the CPU has no end that could be felt'
    assert '--memory-mb' in capsys.readouterr().err
