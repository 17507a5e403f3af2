"""Metrics of segmentation: exact counts, the names and units of reports, several processes, files for test servers."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from intarsia.core.errors import DataError
from intarsia.tasks.segmentation.metrics import confusion
from intarsia.tasks.segmentation.metrics.class_table import class_table
from intarsia.tasks.segmentation.metrics.confusion import count_pairs, relabel
from intarsia.tasks.segmentation.metrics.evaluator import SegmentationEvaluator
from intarsia.tasks.segmentation.metrics.scores import areas, class_scores
from intarsia.tasks.segmentation.metrics.write_masks import write_masks
from intarsia.tasks.segmentation.results import SegmentationResult

NAMES = ('road', 'car', 'sky', 'tree', 'sign')
C = len(NAMES)
RNG = np.random.default_rng(5)
TRUE = [RNG.integers(0, C, (h, w)).astype(np.uint8) for h, w in ((20, 24), (7, 9), (1, 1), (30, 4), (16, 16))]
for mask in TRUE:
    mask[0, :3] = 255
PRED = [np.where(RNG.random(t.shape) < 0.4, RNG.integers(0, C, t.shape), t % C).astype(np.uint8) for t in TRUE]


class Masks:
    CLASSES = NAMES
    ignore_index = 255

    def __init__(self, masks=TRUE):
        self.masks = masks

    def get_gt_seg_map_by_idx(self, index):
        return self.masks[index]


def counted(evaluator, indices, key='sample_idx'):
    for i in indices:
        batch = {'sample_idx': np.array([i])} if key == 'sample_idx' else {key: torch.tensor(TRUE[i])[None, None]}
        evaluator.update([SegmentationResult(PRED[i])], batch)
    return evaluator


def slow_pairs(pred, true, num_classes, ignore_index):
    pairs = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for p, t in zip(pred.reshape(-1).tolist(), true.reshape(-1).tolist(), strict=True):
        if t != ignore_index:
            pairs[t if 0 <= t < num_classes else -1, p if 0 <= p < num_classes else -1] += 1
    return pairs


class TestCounting:
    @pytest.mark.parametrize('dtype', [np.uint8, np.int64, np.int32])
    @pytest.mark.parametrize('ignore_index', [255, 2, None])
    def test_pairs(self, dtype, ignore_index):
        true = RNG.integers(0, 8, (13, 17)).astype(dtype)
        true[:3] = 255
        pred = RNG.integers(0, 7, (13, 17)).astype(dtype)
        np.testing.assert_array_equal(count_pairs(pred, true, C, ignore_index), slow_pairs(pred, true, C, ignore_index))

    def test_values_beyond_bytes(self):
        true, pred = RNG.integers(-2, 700, (2, 30, 40))
        np.testing.assert_array_equal(count_pairs(pred, true, 600, 3), slow_pairs(pred, true, 600, 3))
        np.testing.assert_array_equal(count_pairs(pred, true, 300, 65535), slow_pairs(pred, true, 300, 65535))

    def test_most_classes_of_bytes(self):
        true, pred = RNG.integers(0, 256, (2, 30, 40)).astype(np.uint8)
        for num_classes in (255, 256):
            np.testing.assert_array_equal(
                count_pairs(pred, true, num_classes, 255), slow_pairs(pred, true, num_classes, 255)
            )

    def test_parts_of_an_image(self, monkeypatch):
        whole = count_pairs(PRED[0], TRUE[0], C, 255)
        monkeypatch.setattr(confusion, 'FLOAT32_EXACT', 100)
        np.testing.assert_array_equal(count_pairs(PRED[0], TRUE[0], C, 255), whole)

    def test_no_pixel_is_lost_above_two_to_the_24(self):
        mask = np.zeros((4097, 4099), np.uint8)
        assert count_pairs(mask, mask, 2, 255)[0, 0] == mask.size

    def test_strided_masks(self):
        pred, true = PRED[0][:, ::2], TRUE[0][:, ::2]
        np.testing.assert_array_equal(count_pairs(pred, true, C, 255), slow_pairs(pred, true, C, 255))

    def test_sizes_must_agree(self):
        with pytest.raises(DataError, match=r'\(20, 24\).*\(7, 9\)'):
            count_pairs(PRED[0], TRUE[1], C, 255)


class TestRelabel:
    @pytest.mark.parametrize('dtype', [np.uint8, np.int64])
    def test_labels(self, dtype):
        mask = np.array([[0, 1, 2, 255, 3]], dtype)
        before = mask.copy()
        assert relabel(mask, None, True).tolist() == [[255, 0, 1, 255, 2]]
        assert relabel(mask, {1: 2, 2: 0, 3: -1}, False).tolist() == [[0, 2, 0, 255, 255]]
        assert relabel(mask, {1: 2, 2: 0}, True).tolist() == [[255, 1, 255, 255, 2]]
        assert relabel(mask, {3: -1}, False, 9).tolist() == [[0, 1, 2, 255, 9]]
        assert relabel(mask, None, False) is mask
        np.testing.assert_array_equal(mask, before)


class TestScores:
    def test_by_hand(self):
        scores = class_scores(*map(np.array, ([3, 0, 0], [4, 2, 0], [5, 1, 0])), ('mIoU', 'mDice', 'mFscore'), beta=2)
        assert scores['aAcc'] == 0.5
        np.testing.assert_allclose(scores['IoU'], [0.5, 0, np.nan])
        np.testing.assert_allclose(scores['Acc'], [0.6, 0, np.nan])
        np.testing.assert_allclose(scores['Dice'], [2 / 3, 0, np.nan])
        np.testing.assert_allclose(scores['Precision'], [0.75, 0, np.nan])
        np.testing.assert_allclose(scores['Fscore'], [5 * 0.75 * 0.6 / (4 * 0.75 + 0.6), np.nan, np.nan])

    def test_nan_to_num(self):
        scores = class_scores(*map(np.array, ([3, 0], [4, 0], [5, 0])), nan_to_num=-1)
        assert scores['IoU'].tolist() == [0.5, -1]


class TestEvaluator:
    def test_names_and_units(self):
        values = counted(SegmentationEvaluator(Masks()), range(5)).compute()
        assert list(values) == ['aAcc', 'mIoU', 'mAcc', *(f'{n}.{c}' for n in ('IoU', 'Acc') for c in NAMES)]
        scores = class_scores(*areas(sum(count_pairs(p, t, C, 255) for p, t in zip(PRED, TRUE, strict=True))))
        assert values['mIoU'] == np.round(100 * scores['IoU'].mean(), 2) / 100
        assert values['IoU.car'] == np.round(100 * scores['IoU'][1], 2) / 100
        assert {type(value) for value in values.values()} == {float}

    def test_targets_from_the_batch_or_the_data_set(self):
        whole = counted(SegmentationEvaluator(Masks()), range(5)).compute()
        assert counted(SegmentationEvaluator(Masks(None)), range(5), 'gt_semantic_seg').compute() == whole

    def test_several_processes_are_exact(self):
        metrics = ['mIoU', 'mFscore', {'type': 'IoUMetric', 'iou_metrics': ['mDice'], 'prefix': 'seg'}]
        whole = counted(SegmentationEvaluator(Masks(), metrics), range(5)).compute()
        parts = [counted(SegmentationEvaluator(Masks(), metrics), each) for each in ([3, 1], [], [4, 0, 2])]
        merged = SegmentationEvaluator(Masks(), metrics)
        for part in parts:
            merged.merge(pickle.loads(pickle.dumps(part.state())))
        assert merged.compute() == whole
        merged.reset()
        assert counted(merged, range(5)).compute() == whole

    def test_the_state_does_not_grow_or_change(self):
        evaluator = counted(SegmentationEvaluator(Masks()), [0])
        state, size = evaluator.state(), len(pickle.dumps(evaluator.state()))
        before = pickle.dumps(state)
        counted(evaluator, range(5))
        assert pickle.dumps(state) == before
        assert len(pickle.dumps(evaluator.state())) == size
        evaluator.merge(state)
        assert pickle.dumps(state) == before

    def test_metrics_of_the_newer_names_are_percentages(self):
        values = counted(SegmentationEvaluator(Masks(), {'type': 'IoUMetric'}), range(5)).compute()
        fractions = counted(SegmentationEvaluator(Masks()), range(5)).compute()
        assert values.keys() == {'aAcc', 'mIoU', 'mAcc'}
        assert values['mIoU'] / 100 == fractions['mIoU']

    def test_labels_of_the_data_set_are_changed(self):
        dataset = Masks([np.array([[0, 1, 2, 2]], np.uint8)])
        result = [SegmentationResult(np.array([[3, 0, 1, 4]], np.uint8))]
        for says, option in ((False, True), (True, None)):
            dataset.reduce_zero_label = says
            evaluator = SegmentationEvaluator(dataset, reduce_zero_label=option)
            evaluator.update(result, {'sample_idx': torch.tensor([0])})
            assert evaluator.compute()['aAcc'] == pytest.approx(0.6667, abs=1e-9)
        assert dataset.masks[0].tolist() == [[0, 1, 2, 2]]
        # those of the batch are what training sees: they have gone through the pipeline
        evaluator = SegmentationEvaluator(dataset, reduce_zero_label=True)
        evaluator.update(result, {'gt_semantic_seg': torch.tensor([[[[255, 0, 1, 1]]]])})
        assert evaluator.compute()['aAcc'] == pytest.approx(0.6667, abs=1e-9)

    def test_everything_ignored_is_nan_without_a_warning(self, recwarn):
        evaluator = SegmentationEvaluator(Masks([np.full((4, 4), 255, np.uint8)]))
        evaluator.update([SegmentationResult(np.zeros((4, 4), np.uint8))], {'sample_idx': [0]})
        values = evaluator.compute()
        assert math.isnan(values['mIoU'])
        assert math.isnan(values['aAcc'])
        assert not recwarn.list
        assert '-' in evaluator.table()

    def test_confusion_matrix(self):
        evaluator = SegmentationEvaluator(Masks())
        assert evaluator.confusion_matrix is None
        counted(evaluator, range(5))
        assert evaluator.confusion_matrix.sum() == sum((t != 255).sum() for t in TRUE)

    def test_errors(self):
        with pytest.raises(ValueError, match="'mIou'.*Did you mean 'mIoU'"):
            SegmentationEvaluator(Masks(), 'mIou')
        with pytest.raises(ValueError, match='classes'):
            SegmentationEvaluator(None)
        with pytest.raises(ValueError, match='counted no images'):
            SegmentationEvaluator(Masks()).compute()
        with pytest.raises(DataError, match='nothing to compare'):
            SegmentationEvaluator(Masks()).update([SegmentationResult(PRED[0])], {})
        twice = SegmentationEvaluator(Masks(), ['mIoU', {'type': 'IoUMetric'}])
        with pytest.raises(ValueError, match='two metrics report'):
            counted(twice, range(2)).compute()


def test_class_table():
    scores = {'aAcc': np.array(0.5), 'IoU': np.array([0.98765, np.nan]), 'Acc': np.array([0.5, 1.0])}
    assert class_table(('road', '天空'), scores).splitlines() == [
        'class     IoU     Acc',
        '---------------------',
        'road    98.76   50.00',
        '天空        -  100.00',
        '---------------------',
        'mean    98.76   75.00   (aAcc 50.00)',
    ]


class TestWriteMasks:
    RESULTS = (SegmentationResult(np.array([[0, 1], [2, 0]], np.uint8)),)

    def test_label_ids_and_palette(self, tmp_path):
        palette = [(i, 2 * i, 255) for i in range(10)]
        files = write_masks(self.RESULTS, tmp_path / 'a', ['x/one.jpg'], label_ids=(7, 8, 9), palette=palette)
        assert files == [tmp_path / 'a' / 'one.png']
        image = Image.open(files[0])
        assert image.mode == 'P'
        assert np.asarray(image).tolist() == [[7, 8], [9, 7]]
        assert np.asarray(image.convert('RGB'))[0, 1].tolist() == [8, 16, 255]

    def test_plain_and_many_classes(self, tmp_path):
        assert np.asarray(Image.open(write_masks(self.RESULTS, tmp_path, ['a.png'])[0])).tolist() == [[0, 1], [2, 0]]
        file = write_masks(self.RESULTS, tmp_path, ['b.png'], label_ids=range(1000, 1003))[0]
        assert np.asarray(Image.open(file)).tolist() == [[1000, 1001], [1002, 1000]]

    def test_errors(self, tmp_path):
        with pytest.raises(ValueError, match='several images'):
            write_masks(self.RESULTS * 2, tmp_path, ['a/x.jpg', 'b/x.jpg'])
        with pytest.raises(ValueError, match='class 2'):
            write_masks(self.RESULTS, tmp_path, ['a.jpg'], label_ids=(7, 8))
