"""What every data set of classification promises, on tiny ones written in its own format."""

from __future__ import annotations

import gzip
import pickle
import struct
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from intarsia.core.errors import DataError
from intarsia.core.index import builtin_entries
from intarsia.core.registries import DATASETS
from intarsia.data.loader import Loader
from intarsia.data.samplers import RandomSampler
from intarsia.data.seeding import SampleKey

RNG = np.random.default_rng(0)
NAMES = sorted({e.name for e in builtin_entries() if e.registry == 'DATASETS' and e.task in (None, 'classification')})


class Draw:
    """Adds a random number to a sample and tramples on its image."""

    def __call__(self, results, rng):
        if 'img' in results:
            results['img'] += 1
        return {'drawn': rng.random(), **results}


def image_folders(root: Path) -> dict:
    for name, count in (('ants', 3), ('bees', 2)):
        (root / name / 'more').mkdir(parents=True)
        for i in range(count):
            file = root / name / 'more' / f'{i}.png' if i == 1 else root / name / f'{i}.PNG'
            file.write_bytes(cv2.imencode('.png', RNG.integers(0, 255, (4, 5, 3), np.uint8))[1].tobytes())
    return {'data_prefix': str(root)}


def idx_files(root: Path) -> dict:
    for split, count in (('train', 5), ('t10k', 3)):
        images = struct.pack('>4I', 0x803, count, 28, 28) + RNG.bytes(count * 784)
        (root / f'{split}-images-idx3-ubyte').write_bytes(images)
        labels = struct.pack('>2I', 0x801, count) + bytes(range(count))
        (root / f'{split}-labels-idx1-ubyte.gz').write_bytes(gzip.compress(labels))
    return {'data_prefix': str(root)}


def pickled_batches(root: Path, folder: str, names: list[str], key: str) -> dict:
    (root / folder).mkdir(parents=True)
    for number, name in enumerate(names):
        batch = {'data': RNG.integers(0, 255, (2, 3072), np.uint8), key: [number, number + 1], 'filenames': ['a', 'b']}
        (root / folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return {'data_prefix': str(root)}


def voc(root: Path) -> dict:
    objects = {'000007': [('car', 0), ('car', 1)], '000009': [('horse', 0), ('person', 1)], '000012': [('unicorn', 0)]}
    (root / 'Annotations').mkdir()
    for name, found in objects.items():
        text = ''.join(f'<object><name>{n}</name><difficult>{d}</difficult></object>' for n, d in found)
        (root / 'Annotations' / f'{name}.xml').write_text(f'<annotation>{text}</annotation>')
    (root / 'list.txt').write_text('\n'.join(objects) + '\n')
    return {'data_prefix': str(root), 'ann_file': str(root / 'list.txt')}


def inner(root: Path) -> dict:
    return {'type': 'classification.CustomDataset', 'pipeline': [Draw()], **image_folders(root)}


CIFAR10_FILES = [*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch']
MAKE = {
    'CIFAR10': lambda root: pickled_batches(root, 'cifar-10-batches-py', CIFAR10_FILES, 'labels'),
    'CIFAR100': lambda root: pickled_batches(root, 'cifar-100-python', ['train', 'test'], 'fine_labels'),
    'ClassBalancedDataset': lambda root: {'dataset': inner(root), 'oversample_thr': 0.5},
    'ConcatDataset': lambda root: {'datasets': [inner(root / 'one'), inner(root / 'two')]},
    'CustomDataset': image_folders,
    'FashionMNIST': idx_files,
    'ImageNet': lambda root: {**image_folders(root), 'classes': ['ant', 'bee']},
    'MNIST': idx_files,
    'RepeatDataset': lambda root: {'dataset': inner(root), 'times': 3},
    'VOC': voc,
}
LENGTHS = {'CIFAR10': 10, 'CIFAR100': 2, 'ClassBalancedDataset': 7, 'ConcatDataset': 10, 'RepeatDataset': 15, 'VOC': 3}
WRAPPERS = ('ClassBalancedDataset', 'ConcatDataset', 'RepeatDataset')


@pytest.fixture(params=NAMES)
def made(request, tmp_path):
    name = request.param
    more = {} if name in WRAPPERS else {'pipeline': [Draw()]}
    return name, DATASETS.of('classification').build({'type': name, **MAKE[name](tmp_path), **more})


def test_length_labels_and_classes(made):
    name, dataset = made
    labels = dataset.get_gt_labels()
    assert len(dataset) == len(labels) == LENGTHS.get(name, 5)
    assert len(dataset.CLASSES) > labels.max()
    for i in range(len(dataset)):
        cat_ids = dataset.get_cat_ids(i)
        assert cat_ids == (np.flatnonzero(labels[i] == 1).tolist() if labels.ndim == 2 else [labels[i]])
        assert all(type(c) is int for c in cat_ids)


def test_a_sample_has_its_label_and_its_index(made):
    _, dataset = made
    for i in (0, len(dataset) - 1):
        sample = dataset[i]
        assert sample['sample_idx'] == i
        assert isinstance(sample['gt_label'], np.ndarray)
        np.testing.assert_array_equal(sample['gt_label'], dataset.get_gt_labels()[i])
        if 'img_info' in sample:
            assert {*sample} >= {'img_prefix', 'img_info', 'gt_label'}
            assert not Path(sample['img_info']['filename']).is_absolute()
        else:
            assert sample['img'].dtype == np.uint8


def test_a_sample_depends_on_its_key_alone(made):
    _, dataset = made
    key = SampleKey(1, seed=7, epoch=2, position=5)
    first = dataset[key]
    _ = dataset[0], dataset[SampleKey(1, seed=7, epoch=3, position=5)]
    assert str(dataset[key]) == str(first)
    assert dataset[key._replace(index=0)]['drawn'] == first['drawn']
    assert dataset[key._replace(position=6)]['drawn'] != first['drawn']


def test_an_index_beyond_the_end(made):
    _, dataset = made
    with pytest.raises(IndexError):
        dataset[len(dataset)]
    assert len(list(dataset)) == len(dataset)


def test_it_can_be_sent_to_another_process(made):
    _, dataset = made
    other = pickle.loads(ForkingPickler.dumps(dataset))
    assert str(other[1]) == str(dataset[1])


def test_workers_load_the_same(made):
    _, dataset = made

    def drawn(num_workers):
        loader = Loader(dataset, RandomSampler(dataset, seed=3), batch_size=2, num_workers=num_workers, seed=3)
        return [(b['drawn'].tolist(), b['gt_label'].tolist(), b['sample_idx'].tolist()) for b in loader]

    assert drawn(0) == drawn(2)


@pytest.mark.parametrize('name', [n for n in NAMES if n not in WRAPPERS])
def test_missing_files_are_named(name, tmp_path):
    folder = tmp_path / 'nowhere'
    with pytest.raises(DataError) as caught:
        DATASETS.of('classification').build({'type': name, 'data_prefix': str(folder), 'pipeline': []})
    assert str(folder) in str(caught.value) or 'ann_file' in str(caught.value)
    assert 'Nothing is downloaded' in str(caught.value)


@pytest.mark.parametrize('name', ['CIFAR10', 'CIFAR100', 'FashionMNIST', 'MNIST'])
def test_arrays_are_shared_with_workers(name, tmp_path):
    dataset = DATASETS.of('classification').build({'type': name, **MAKE[name](tmp_path)})
    shared = [v for v in vars(dataset).values() if isinstance(v, torch.Tensor) and v.dtype == torch.uint8]
    assert len(shared) == 1
    assert shared[0].is_shared()
