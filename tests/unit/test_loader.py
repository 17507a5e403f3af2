from __future__ import annotations

import numpy as np
import pytest
import torch

from intarsia.core.errors import DataError
from intarsia.data.collate import collate
from intarsia.data.dataset import AnnotationTable, BaseDataset
from intarsia.data.device import DeviceNormalize, split_normalize
from intarsia.data.loader import Loader
from intarsia.data.samplers import RandomSampler, SequentialSampler
from intarsia.data.transforms.transform import Compose


class Drawing:
    def __call__(self, results, rng):
        return {**results, 'x': rng.random(3)}


class OldStyle:
    """A transform of the older form: one argument, global generators."""

    def __call__(self, results):
        return {**results, 'y': np.random.rand(), 'z': torch.rand(2)}


class Numbers(BaseDataset):
    def __init__(self, n=23, **kwargs):
        self.n = n
        super().__init__([Drawing(), OldStyle()], **kwargs)

    def load_annotations(self):
        return [dict(number=i) for i in range(self.n)]


def loader(num_workers=0, **kwargs):
    dataset = Numbers()
    return Loader(dataset, RandomSampler(dataset, seed=5), batch_size=4, num_workers=num_workers, seed=5, **kwargs)


def content(batches):
    return [{k: v.tolist() for k, v in b.items()} for b in batches]


@pytest.mark.parametrize('num_workers', [1, 2])
def test_samples_are_the_same_for_any_number_of_workers(num_workers):
    one, other = loader(), loader(num_workers)
    for epoch in (0, 1):
        one.start(epoch)
        other.start(epoch)
        assert content(one) == content(other)


def test_an_epoch_can_begin_anywhere():
    whole, late = loader(), loader()
    whole.start(3)
    late.start(3, 4)
    assert content(whole)[4:] == content(late)


def test_epochs_and_samples_differ():
    it = loader()
    it.start(0)
    first = content(it)
    it.start(1)
    assert content(it) != first
    assert len({tuple(x) for b in first for x in b['x']}) == 23


def test_every_sample_comes_once():
    it = loader()
    assert sorted(i for b in it for i in b['sample_idx'].tolist()) == list(range(23))
    assert len(it) == 6
    assert len(loader(drop_last=True)) == 5


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_ranks_share_the_samples(world_size):
    data = range(10)
    padded = [RandomSampler(data, 1, r, world_size).positions() for r in range(world_size)]
    assert len({len(p) for p in padded}) == 1
    exact = [SequentialSampler(data, 1, r, world_size, pad=False).positions() for r in range(world_size)]
    assert sorted(i for p in exact for i in p) == list(range(10))


def test_a_plain_data_set_of_the_users_is_asked_by_index():
    class Plain(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return dict(index=index, noise=np.random.rand())

    def run(num_workers):
        data = Plain()
        return content(Loader(data, SequentialSampler(data), 2, num_workers, seed=1))

    assert run(0) == run(2)


def test_annotations_are_read_back_from_shared_memory():
    rows = [dict(name='a' * i, label=i) for i in range(50)]
    table = AnnotationTable(rows)
    assert list(table) == rows
    assert table._bytes.is_shared()
    with pytest.raises(IndexError):
        table[50]


def test_a_dropped_sample_is_redrawn_in_training_and_an_error_in_testing():
    class Picky(Numbers):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.pipeline = Compose([lambda results: results if results['number'] > 3 else None])

    assert Picky()[1]['number'] > 3
    with pytest.raises(DataError, match='dropped test sample 1'):
        Picky(test_mode=True)[1]


def test_an_error_names_the_sample():
    class Broken(Numbers):
        def __init__(self):
            super().__init__()
            self.pipeline = Compose([lambda results: 1 / 0])

    with pytest.raises(ZeroDivisionError) as caught:
        Broken()[2]
    assert 'in sample 2 of Broken' in caught.value.__notes__[0]


def test_collate_explains_what_does_not_fit():
    with pytest.raises(ValueError, match="'img' has different shapes"):
        collate([dict(img=torch.zeros(2)), dict(img=torch.zeros(3))])
    with pytest.raises(ValueError, match='differ in their keys'):
        collate([dict(a=1), dict(b=1)])
    batch = collate([dict(a=1, b='x', c=np.int64(3)), dict(a=2, b='y', c=np.int64(4))])
    assert batch['a'].tolist() == [1, 2]
    assert batch['b'] == ['x', 'y']
    assert batch['c'].dtype == torch.int64


@pytest.mark.parametrize('to_rgb', [True, False])
def test_the_device_normalises_to_the_same_bits(to_rgb):
    node = dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=to_rgb)
    img = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    by_step = Compose([node])(dict(img=img), np.random.default_rng(0))['img']
    on_device = DeviceNormalize(node['mean'], node['std'], to_rgb)(torch.from_numpy(img).permute(2, 0, 1)[None])
    assert torch.equal(on_device[0].permute(1, 2, 0), torch.from_numpy(np.ascontiguousarray(by_step)))


def test_normalize_moves_only_if_formatting_follows():
    node = dict(type='Normalize', mean=[0], std=[1])
    tail = [dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])]
    left, moved = split_normalize([dict(type='Resize', size=4), node, *tail], 'classification')
    assert [n['type'] for n in left] == ['Resize', 'ImageToTensor', 'Collect']
    assert moved is not None
    kept, moved = split_normalize([node, dict(type='RandomErasing'), *tail], 'classification')
    assert moved is None
    assert kept[0] is node
