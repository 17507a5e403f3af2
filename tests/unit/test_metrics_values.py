"""The values of metrics, against their definitions written out as loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from intarsia.core.errors import DataError
from intarsia.engine.metrics.confusion_matrix import ConfusionMatrix
from intarsia.engine.metrics.metric import ranks_of_labels
from intarsia.tasks.classification.metrics.accuracy import Accuracy
from intarsia.tasks.classification.metrics.average_precision import AveragePrecision, average_precision
from intarsia.tasks.classification.metrics.multi_label import MultiLabelMetric, answered
from intarsia.tasks.classification.metrics.single_label import SingleLabelMetric
from intarsia.tasks.classification.metrics.voc import VOCAveragePrecision, VOCMultiLabelMetric

RNG = np.random.default_rng(11)
SCORES = RNG.random((40, 5), np.float32)
LABELS = RNG.integers(0, 4, 40)
INDICATORS = RNG.integers(-1, 2, (40, 5))


def counted(metric, target, scores=SCORES):
    metric.update(scores, target)
    return metric.compute()


@pytest.mark.parametrize('thr', [None, 0.6])
@pytest.mark.parametrize('k', [1, 3, 5])
def test_accuracy(k, thr):
    right = 0
    for scores, label in zip(SCORES, LABELS, strict=True):
        best = sorted(range(5), key=lambda c: -scores[c])[:k]
        right += label in best and (thr is None or scores[label] > thr)
    assert counted(Accuracy(k, thr), LABELS) == {f'accuracy/top{k}': pytest.approx(100 * right / 40)}


def test_of_equal_scores_the_lower_class_comes_first():
    scores = np.array([[1, 1, 1], [0, 2, 2], [3, 0, 0]], np.float32)
    assert ranks_of_labels(scores, np.array([1, 2, 2])).tolist() == [1, 1, 2]


def test_nan_is_never_right():
    scores = np.full((4, 3), np.nan, np.float32)
    scores[0] = [0.1, np.nan, 0.9]
    assert counted(Accuracy((1, 2, 3)), np.array([2, 0, 1, 2]), scores) == {
        'accuracy/top1': 0.0,
        'accuracy/top2': 25.0,
        'accuracy/top3': 25.0,
    }


@pytest.mark.parametrize('average', ['macro', 'micro', 'none'])
def test_single_label(average):
    answers = SCORES.argmax(1)
    shown = SCORES.max(1) > 0.8
    hits = np.array([((answers == c) & (c == LABELS) & shown).sum() for c in range(5)])
    given = np.array([((answers == c) & shown).sum() for c in range(5)])
    true = np.array([(c == LABELS).sum() for c in range(5)])
    if average == 'micro':
        hits, given, true = hits.sum(), given.sum(), true.sum()
    precision, recall = 100 * hits / np.maximum(given, 1), 100 * hits / np.maximum(true, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    result = dict(zip(('precision', 'recall', 'f1-score'), (precision, recall, f1), strict=True))
    if average == 'macro':
        result = {name: value.mean() for name, value in result.items()}
    suffix = {'macro': '', 'micro': '_micro', 'none': '_classwise'}[average]
    found = counted(SingleLabelMetric(0.8, average=average), LABELS)
    assert found == {f'single-label/{name}{suffix}': pytest.approx(value) for name, value in result.items()}


@pytest.mark.parametrize('difficult', ['ignored', 'negative'])
@pytest.mark.parametrize('settings', [{}, {'thr': 0.7}, {'topk': 2}], ids=str)
def test_multi_label(settings, difficult):
    answer = answered(SCORES, settings.get('thr', 0.5 if not settings else None), settings.get('topk'))
    if difficult == 'ignored':
        answer &= INDICATORS != -1
    hits, given, true = (answer & (INDICATORS == 1)).sum(0), answer.sum(0), (INDICATORS == 1).sum(0)
    cp, cr = 100 * (hits / np.maximum(given, 1)).mean(), 100 * (hits / true).mean()
    op, o_r = 100 * hits.sum() / given.sum(), 100 * hits.sum() / true.sum()
    metric = MultiLabelMetric(**settings, difficult=difficult)
    found = counted(metric, INDICATORS)
    suffix = {'{}': '', "{'thr': 0.7}": '_thr-0.70', "{'topk': 2}": '_top2'}[str(settings)]
    assert found[f'multi-label/precision{suffix}'] == pytest.approx(cp)
    f1 = 200 * hits / (given + true)
    assert found[f'multi-label/f1-score{suffix}'] == pytest.approx(f1.mean())
    values = (cp, cr, 2 * cp * cr / (cp + cr), op, o_r, 2 * op * o_r / (op + o_r))
    assert list(metric.overall().values()) == pytest.approx(values)


def test_average_precision():
    for score_n, target_n in zip(SCORES.T, INDICATORS.T, strict=True):
        seen, precisions = 0, []
        for i in np.argsort(-score_n):
            if target_n[i] != -1:
                seen += 1
                if target_n[i] == 1:
                    precisions.append((len(precisions) + 1) / seen)
        assert average_precision(score_n, target_n) == pytest.approx(np.mean(precisions))


@pytest.mark.parametrize(
    ('target', 'value'),
    [([1, 1, 1], 1.0), ([0, 0, 0], 0.0), ([-1, -1, -1], 0.0), ([1, -1, 0], 1.0), ([0, -1, 1], 0.5), ([], 0.0)],
)
def test_average_precision_at_the_edges(target, value):
    scores = np.linspace(1, 0, 3)[: len(target)]
    assert average_precision(scores, np.array(target, int)) == value


def test_equal_scores_gain_nothing():
    assert average_precision(np.full(4, 0.5), np.array([1, 0, 1, 0])) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert average_precision(np.full(4, 0.5), np.ones(4)) == 1.0


def test_mean_average_precision():
    by_class = counted(AveragePrecision('none'), INDICATORS)['multi-label/AP_classwise']
    assert counted(AveragePrecision(), INDICATORS) == {'multi-label/mAP': pytest.approx(math.fsum(by_class) / 5)}


def test_confusion_matrix():
    rows = counted(ConfusionMatrix(), LABELS)['confusion_matrix/result']
    assert rows == [[int(((t == LABELS) & (SCORES.argmax(1) == a)).sum()) for a in range(5)] for t in range(5)]


def test_difficult_labels_of_voc():
    for as_positive, settled in ((None, -1), (True, 1), (False, 0)):
        target = np.where(INDICATORS == -1, settled, INDICATORS)
        ours = counted(VOCMultiLabelMetric(difficult_as_positive=as_positive), INDICATORS)
        assert ours == counted(MultiLabelMetric(), target)
        assert counted(VOCAveragePrecision(as_positive), INDICATORS) == counted(AveragePrecision(), target)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: Accuracy(()), 'at least 1'),
        (lambda: Accuracy((0, 1)), 'at least 1'),
        (lambda: SingleLabelMetric(items=('precission',)), 'precission'),
        (lambda: MultiLabelMetric(difficult='maybe'), 'maybe'),
        (lambda: AveragePrecision('micro'), 'micro'),
        (lambda: counted(SingleLabelMetric(average='weighted'), LABELS), 'weighted'),
        (lambda: counted(Accuracy((1, 9)), LABELS), 'top-9 accuracy needs more than the 5 classes'),
        (lambda: counted(ConfusionMatrix(7), LABELS), 'num_classes=7'),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_targets_that_do_not_fit():
    with pytest.raises(DataError, match='label 5'):
        counted(Accuracy(), np.full(40, 5))
    with pytest.raises(DataError, match='label -1'):
        counted(SingleLabelMetric(), np.full(40, -1))
    with pytest.raises(DataError, match=r'\(40,\)'):
        counted(MultiLabelMetric(), LABELS)
