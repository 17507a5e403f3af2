"""Data sets made of data sets."""

from __future__ import annotations

import numpy as np
import pytest

from intarsia.core.registries import DATASETS
from intarsia.data.seeding import SampleKey
from intarsia.data.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset
from intarsia.tasks.classification.datasets.base import ClassificationDataset


class Draw:
    def __call__(self, results, rng):
        return {**results, 'drawn': rng.random()}


class Numbers(ClassificationDataset):
    CLASSES = ('a', 'b', 'c')

    def __init__(self, labels, classes=None):
        self.labels = labels
        super().__init__(pipeline=[Draw()], classes=classes)

    def load_annotations(self):
        return [{'number': i, 'gt_label': label} for i, label in enumerate(self.labels)]


class Plain:
    """A data set of someone who never heard of sample keys."""

    CLASSES = None

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return {'index': index}


def numbers(dataset):
    return [dataset[i]['number'] for i in range(len(dataset))]


def test_repeat():
    dataset = RepeatDataset(Numbers([0, 1]), times=3)
    assert numbers(dataset) == [0, 1, 0, 1, 0, 1]
    assert dataset.CLASSES == ('a', 'b', 'c')
    assert dataset.get_gt_labels().tolist() == [0, 1] * 3
    assert dataset[0]['drawn'] != dataset[2]['drawn']
    with pytest.raises(ValueError, match='at least 1'):
        RepeatDataset(Numbers([0]), times=0)


def test_concat():
    dataset = ConcatDataset([Numbers([0, 1]), Numbers([2]), Numbers([1, 1, 0])])
    assert numbers(dataset) == [0, 1, 0, 0, 1, 2]
    assert dataset.get_gt_labels().tolist() == [0, 1, 2, 1, 1, 0]
    assert [dataset.get_cat_ids(i) for i in range(6)] == [[0], [1], [2], [1], [1], [0]]
    with pytest.raises(ValueError, match='different classes'):
        ConcatDataset([Numbers([0]), Numbers([0], classes=['c', 'b', 'a'])])
    with pytest.raises(ValueError, match='at least one'):
        ConcatDataset([])


def test_class_balance():
    labels = [0] * 12 + [1] * 3 + [2]
    dataset = ClassBalancedDataset(Numbers(labels), oversample_thr=0.25)
    times = [1] * 12 + [2] * 3 + [2]
    assert numbers(dataset) == np.repeat(np.arange(16), times).tolist()
    assert np.bincount(dataset.get_gt_labels()).tolist() == [12, 6, 2]
    assert len(ClassBalancedDataset(Numbers(labels), oversample_thr=1e-3)) == 16


def test_a_sample_has_the_seed_and_position_of_its_key():
    dataset = ConcatDataset([RepeatDataset(Numbers([0, 1]), 2), Numbers([2])])
    key = SampleKey(4, seed=5, epoch=6, position=7)
    sample = dataset[key]
    assert (sample['number'], sample['sample_idx']) == (0, 4)
    assert sample['drawn'] == dataset[key._replace(index=0)]['drawn'] == key.generator().random()


def test_nodes_and_data_sets_of_any_kind():
    node = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[Plain(), Plain()]), times=2)
    dataset = DATASETS.build(node)
    assert [dataset[i]['index'] for i in range(len(dataset))] == [0, 1] * 4
    assert dataset.CLASSES is None
    with pytest.raises(IndexError):
        dataset[8]
