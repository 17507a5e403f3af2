"""What the ``evaluation`` section asks for, and under which names it is reported."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intarsia.core.errors import DataError
from intarsia.tasks.classification.metrics.evaluator import ClassificationEvaluator
from intarsia.tasks.classification.results import ClassificationResult

RNG = np.random.default_rng(5)


class Labelled:
    def __init__(self, labels):
        self.labels = np.asarray(labels)

    def get_gt_labels(self):
        return self.labels


def evaluated(metric=None, labels=None, num_classes=6, **options):
    labels = RNG.integers(0, num_classes, 20) if labels is None else np.asarray(labels)
    evaluator = ClassificationEvaluator(Labelled(labels), metric, **options)
    results = [ClassificationResult.of(s, ()) for s in RNG.random((len(labels), num_classes), np.float32)]
    evaluator.update(results, {'sample_idx': torch.arange(len(labels))})
    return evaluator.compute()


@pytest.mark.parametrize(
    ('settings', 'names'),
    [
        ({}, ['accuracy_top-1', 'accuracy_top-5']),
        ({'metric': 'accuracy', 'topk': (1, 2)}, ['accuracy_top-1', 'accuracy_top-2']),
        ({'metric': 'accuracy', 'topk': [3]}, ['accuracy_top-3']),
        ({'metric': 'accuracy', 'topk': 3}, ['accuracy']),
        ({'metric': 'accuracy', 'topk': 1, 'thrs': (0.3, 0.5)}, ['accuracy_thr_0.30', 'accuracy_thr_0.50']),
        ({'topk': (1,), 'thrs': [0.0]}, ['accuracy_top-1_thr_0.00']),
        ({'topk': (1,), 'thrs': 0.5}, ['accuracy_top-1']),
        ({'metric': ['f1_score', 'accuracy'], 'topk': 1}, ['accuracy', 'f1_score']),
        ({'metric': ('recall', 'support'), 'thrs': (0.5, None)}, ['support', 'recall_thr_0.50', 'recall_no_thr']),
        ({'metric': dict(type='Accuracy', topk=(1, 2))}, ['accuracy/top1', 'accuracy/top2']),
        (
            {'metric': ['precision', dict(type='SingleLabelMetric', items=['recall'])]},
            ['precision', 'single-label/recall'],
        ),
    ],
    ids=str,
)
def test_names_with_one_label_a_sample(settings, names):
    assert list(evaluated(**settings)) == names


@pytest.mark.parametrize(('num_classes', 'names'), [(5, 2), (4, 1), (2, 1)])
def test_the_usual_topk_fits_the_number_of_classes(num_classes, names):
    assert len(evaluated(num_classes=num_classes)) == names


def test_a_topk_that_is_asked_for_must_fit():
    with pytest.raises(ValueError, match='top-5 accuracy needs more than the 4 classes'):
        evaluated(num_classes=4, topk=(1, 5))


@pytest.mark.parametrize(
    ('settings', 'names'),
    [
        ({}, ['mAP']),
        ({'metric': ['OF1', 'mAP', 'CP'], 'k': 2}, ['mAP', 'CP', 'OF1']),
        ({'metric': dict(type='MultiLabelMetric', thr=0.7)}, None),
    ],
)
def test_names_with_several_labels_a_sample(settings, names):
    found = list(evaluated(**settings, labels=RNG.integers(0, 2, (20, 6))))
    assert found == (names or [f'multi-label/{n}_thr-0.70' for n in ('precision', 'recall', 'f1-score')])


def test_averages():
    labels = RNG.integers(0, 6, 20)
    assert evaluated('support', labels)['support'] == 20
    assert evaluated('support', labels, average_mode='none')['support'] == np.bincount(labels, minlength=6).tolist()
    assert isinstance(evaluated('precision', labels, average_mode='micro')['precision'], float)


@pytest.mark.parametrize(
    ('metric', 'labels', 'message'),
    [
        ('acuracy', [0, 1], "no metric 'acuracy' for one label a sample. Did you mean 'accuracy'"),
        ('mAP', [0, 1], "no metric 'mAP' for one label a sample"),
        (['mAP', 'accuracy'], [[0, 1]], "no metric 'accuracy' for several labels a sample"),
        (['accuracy', 3], [0, 1], "no metric '3'"),
    ],
)
def test_unknown_names(metric, labels, message):
    with pytest.raises(ValueError, match=message):
        ClassificationEvaluator(Labelled(labels), metric)


def test_two_metrics_of_one_name():
    nodes = [dict(type='Accuracy'), dict(type='Accuracy', thrs=0.5)]
    with pytest.raises(ValueError, match='two metrics report accuracy/top1'):
        evaluated(nodes)
    assert list(evaluated([nodes[0], {**nodes[1], 'prefix': 'sure'}])) == ['accuracy/top1', 'sure/top1']


def test_targets_come_from_the_batch_or_from_the_data_set():
    results = [ClassificationResult.of(np.eye(3, dtype=np.float32)[c], ()) for c in (0, 1, 2)]
    right, wrong = Labelled([2, 0, 1, 0, 1, 2]), Labelled([9] * 6)
    for dataset, batch in (
        (right, {'sample_idx': torch.tensor([3, 4, 5])}),
        (right, {'sample_idx': [1, 2, 0]}),
        (wrong, {'sample_idx': torch.arange(3), 'gt_label': torch.tensor([[0], [1], [2]])}),
        (None, {'gt_label': np.array([0, 1, 2])}),
    ):
        evaluator = ClassificationEvaluator(dataset)
        evaluator.update(results, batch)
        assert evaluator.compute() == {'accuracy_top-1': 100.0}
        np.testing.assert_array_equal(evaluator.confusion_matrix, np.eye(3))
    with pytest.raises(DataError, match='nothing to compare results with'):
        ClassificationEvaluator(None).update(results, {})
    with pytest.raises(DataError, match='3 results, but 2 targets'):
        ClassificationEvaluator(None).update(results, {'gt_label': torch.tensor([0, 1])})


def test_nothing_counted():
    evaluator = ClassificationEvaluator(Labelled([0, 1]))
    evaluator.update([], {})
    with pytest.raises(ValueError, match='counted no samples'):
        evaluator.compute()
    assert evaluator.confusion_matrix is None
