"""What every metric promises: how samples are split into batches and processes changes no bit of the result."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from intarsia.core.registries import METRICS
from intarsia.tasks.classification.metrics.evaluator import (
    MULTI_LABEL_NAMES,
    SINGLE_LABEL_NAMES,
    ClassificationEvaluator,
)
from intarsia.tasks.classification.results import ClassificationResult

NUM, CLASSES = 57, 6
RNG = np.random.default_rng(3)
SCORES = (RNG.integers(0, 40, (NUM, CLASSES)) / 40).astype(np.float32)
"""Coarse, so that many scores are equal."""
LABELS = RNG.integers(0, CLASSES, NUM)
INDICATORS = RNG.integers(-1, 2, (NUM, CLASSES)).astype(np.int8)

MULTI_LABEL = {'AveragePrecision', 'MultiLabelMetric', 'VOCAveragePrecision', 'VOCMultiLabelMetric'}
VARIANTS = {
    'Accuracy': [{'topk': (1, 3)}, {'thrs': (0.3, None)}],
    'AveragePrecision': [{'average': 'none'}],
    'MultiLabelMetric': [{'topk': 2}, {'difficult': 'negative'}, {'average': 'micro', 'thr': 0.7}],
    'SingleLabelMetric': [{'thrs': (0.3, 0.9)}, {'average': 'none', 'items': ('precision', 'support')}],
    'VOCMultiLabelMetric': [{'difficult_as_positive': True}],
    'VOCAveragePrecision': [{'difficult_as_positive': False}],
}
CASES = [(name, variant) for name in METRICS.of('classification').names() for variant in [{}, *VARIANTS.get(name, [])]]


def build(case):
    name, arguments = case
    metric = METRICS.of('classification').build({'type': name, **arguments})
    return metric, INDICATORS if name in MULTI_LABEL else LABELS


def computed(metric, target, parts):
    for part in parts:
        metric.update(SCORES[part], target[part])
    return metric.compute()


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture
def whole(case):
    metric, target = build(case)
    return computed(metric, target, [np.arange(NUM)])


def test_batches_and_order_play_no_part(case, whole):
    for seed, size in ((0, 1), (1, 10), (2, NUM)):
        metric, target = build(case)
        order = np.random.default_rng(seed).permutation(NUM)
        assert computed(metric, target, np.split(order, range(size, NUM, size))) == whole


def test_processes_play_no_part(case, whole):
    merged, target = build(case)
    for rank in (1, 0, 2):
        metric, _ = build(case)
        computed(metric, target, [np.arange(rank, NUM, 3)])
        state = pickle.dumps(metric.state())
        merged.merge(pickle.loads(state))
        assert pickle.dumps(metric.state()) == state
    empty, _ = build(case)
    merged.merge(empty.state())
    assert merged.compute() == whole


def test_a_state_is_not_changed_by_later_batches(case, whole):
    metric, target = build(case)
    metric.update(SCORES[:20], target[:20])
    early = metric.state()
    metric.update(SCORES[20:], target[20:])
    other, _ = build(case)
    other.merge(early)
    other.update(SCORES[20:], target[20:])
    assert other.compute() == metric.compute() == whole


def test_inputs_stay_and_reset_forgets(case, whole):
    metric, target = build(case)
    scores, before = SCORES.copy(), target.copy()
    metric.update(scores, before)
    np.testing.assert_array_equal(scores, SCORES)
    np.testing.assert_array_equal(before, target)
    metric.reset()
    with pytest.raises(ValueError, match='counted no samples'):
        metric.compute()
    assert computed(metric, target, [np.arange(NUM)]) == whole


def test_names_and_values(case, whole):
    metric, _ = build(case)
    assert all(name.startswith(f'{metric.PREFIX}/') for name in whole)
    assert json.loads(json.dumps(whole)) == whole
    other, target = build((case[0], {**case[1], 'prefix': 'mine'}))
    assert {f'mine/{name.split("/")[1]}' for name in whole} == computed(other, target, [np.arange(NUM)]).keys()


@pytest.mark.parametrize(
    ('names', 'target'), [(SINGLE_LABEL_NAMES, LABELS), (MULTI_LABEL_NAMES, INDICATORS)], ids=['single', 'multi']
)
def test_the_evaluator_keeps_the_promise(names, target):
    def count(evaluator, part):
        evaluator.update([ClassificationResult.of(s, ()) for s in SCORES[part]], {'gt_label': target[part]})
        return evaluator

    whole = count(ClassificationEvaluator(None, names), np.arange(NUM))
    merged = ClassificationEvaluator(None, names)
    for rank in range(3):
        merged.merge(
            pickle.loads(pickle.dumps(count(ClassificationEvaluator(None, names), slice(rank, NUM, 3)).state()))
        )
    assert merged.compute() == whole.compute()
    assert len(whole.compute()) >= len(names)
    np.testing.assert_array_equal(merged.confusion_matrix, whole.confusion_matrix)
    merged.reset()
    assert merged.confusion_matrix is None
