"""Networks of temporal localization: labels, layers, losses, proposals and metrics, compared with what is spelled out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from intarsia.core.errors import DataError
from intarsia.core.registries import LOCALIZERS, METRICS
from intarsia.tasks.action.localization_result import BoundaryResult, LocalizationResult
from intarsia.tasks.action.localizers.boundary_matching import match_boundaries
from intarsia.tasks.action.localizers.localizer import pad_segments, position_classes
from intarsia.tasks.action.localizers.proposals import likely_boundaries, mean_class_scores, with_truth
from intarsia.tasks.action.localizers.suppression import soft_nms, temporal_nms
from intarsia.tasks.action.losses.binary_logistic_regression_loss import binary_logistic_regression_loss
from intarsia.tasks.action.metrics.segment_matching import average_precision
from intarsia.tasks.action.temporal_overlap import pairwise_temporal_iou, temporal_iop

POST = dict(soft_nms_alpha=0.4, soft_nms_low_threshold=0.5, soft_nms_high_threshold=0.9, post_process_top_k=10)
SEGMENTS = [torch.tensor([[0.1, 0.4], [0.5, 0.9]]), torch.zeros(0, 2)]
LABELS = [torch.tensor([1, 0]), torch.zeros(0, dtype=torch.int64)]


def bmn(**arguments):
    torch.manual_seed(0)
    node = dict(type='BMN', temporal_dim=10, boundary_ratio=0.5, num_samples=4, num_samples_per_bin=2, feat_dim=8,
                hidden_dim_1d=8, hidden_dim_2d=4, hidden_dim_3d=6)  # fmt: skip
    return LOCALIZERS.of('action').build({**node, **POST, **arguments})


def pem(**arguments):
    torch.manual_seed(0)
    node = dict(type='PEM', pem_feat_dim=3, pem_hidden_dim=4, pem_u_ratio_m=1, pem_u_ratio_l=2,
                pem_high_temporal_iou_threshold=0.6, pem_low_temporal_iou_threshold=0.2)  # fmt: skip
    return LOCALIZERS.of('action').build({**node, **POST, **arguments})


# ---------------------------------------------------------------------- BMN


def test_matching_is_the_product_with_the_table():
    model = bmn()
    feat_bct, weight_ocn = torch.randn(2, 8, 10), torch.randn(6, 8, 4)
    sampled_bcndt = (feat_bct @ model.sample_mask).view(2, 8, 4, 10, 10)
    expected = torch.einsum('bcndt,ocn->bodt', sampled_bcndt, weight_ocn)
    torch.testing.assert_close(match_boundaries(feat_bct, weight_ocn, model.sparse_table()), expected)


def test_a_changed_table_is_noticed():
    model = bmn()
    before = model.sparse_table()
    assert model.sparse_table() is before
    with torch.no_grad():
        model.sample_mask.mul_(2)
    assert model.sparse_table() is not before


def test_labels_of_segments_are_their_overlap():
    iou_bdt, start_bt, end_bt = bmn().labels_of(pad_segments(SEGMENTS, torch.zeros(1)))
    assert iou_bdt[0, 2, 1] == pytest.approx(1)  # 3 positions from the second on: 0.1 ... 0.4
    assert iou_bdt[0, 3, 1] == pytest.approx(0.75)
    assert iou_bdt[1].max() == start_bt[1].max() == 0
    assert start_bt[0].argmax() in (0, 1)
    assert end_bt[0, [4, 9]].tolist() == pytest.approx([1, 1])


def test_bmn_learns_and_answers():
    model = bmn(num_classes=2)
    features = torch.randn(2, 8, 10)
    out = model.train_step({'raw_feature': features, 'gt_bbox': SEGMENTS, 'gt_labels': LABELS})
    assert set(out['log_vars']) == {'loss', 'loss_bmn', 'tem', 'pem_reg', 'pem_cls', 'loss_cls'}
    out['loss'].backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    meta = [dict(video_name='v', duration_second=20.0, duration_frame=330)] * 2
    result = model.eval().predict(features, meta)[0]
    assert result.duration == pytest.approx(20 * 320 / 330)
    assert len(result) == 20  # ten segments of two classes
    assert (np.diff(result.scores) <= 0).all()
    assert 0 <= result.segments.min() <= result.segments.max() <= result.duration
    with pytest.raises(KeyError, match="needs targets\\['gt_bbox'\\]"):
        model.loss(features, {})


@pytest.mark.parametrize('keeps', [False, True])
def test_weights_of_both_generations_fit(keeps):
    model = bmn(keeps_bm_mask=keeps)
    assert ('bm_mask' in model.state_dict()) == keeps
    model.load_state_dict(bmn(keeps_bm_mask=True).state_dict())


def test_channels_that_are_no_multiple_of_the_groups():
    with pytest.raises(ValueError, match='BMN: feat_dim=9'):
        bmn(feat_dim=9)


def test_the_class_of_a_position_is_that_of_its_middle():
    label_bt = position_classes(10, pad_segments(SEGMENTS, torch.zeros(1)), LABELS)
    assert label_bt[0].tolist() == [0, 2, 2, 2, 0, 1, 1, 1, 1, 0]
    assert label_bt[1].sum() == 0


# ---------------------------------------------------------------------- BSN


def test_tem_learns_and_answers():
    torch.manual_seed(0)
    node = dict(type='TEM', temporal_dim=10, boundary_ratio=0.1, tem_feat_dim=8, tem_hidden_dim=4,
                tem_match_threshold=0.5, num_classes=2)  # fmt: skip
    model = LOCALIZERS.of('action').build(node)
    features = torch.randn(2, 8, 10)
    out = model.train_step({'raw_feature': features, 'gt_bbox': SEGMENTS, 'gt_labels': LABELS})
    assert set(out['log_vars']) == {'loss', 'loss_action', 'loss_start', 'loss_end', 'loss_cls'}
    result = model.eval().predict(features)[0]
    assert isinstance(result, BoundaryResult)
    assert result.positions.shape == (10, 5 + 2)
    np.testing.assert_allclose(result.positions[:, 3], np.arange(10) / 10, atol=1e-6)


def test_pem_draws_as_many_of_each_kind_as_asked():
    torch.manual_seed(0)
    true_p = torch.cat([torch.full((100,), 0.9), torch.full((1000,), 0.4), torch.full((1000,), 0.1)])
    chosen_p = pem(balanced=True).draw(true_p)
    counts = [int(each.sum()) for each in chosen_p.split([100, 1000, 1000])]
    assert counts[0] == 100
    assert 70 < counts[1] < 130
    assert 160 < counts[2] < 240
    assert pem(balanced=True).draw(torch.full((5,), 0.1)).all()


def test_pem_answers_for_streams_with_different_numbers_of_proposals():
    model = pem(soft_nms_low_threshold=1.0, soft_nms_high_threshold=1.0).eval()
    sizes = (3, 2)
    batch = {name: [torch.linspace(0.1, 0.3, n) for n in sizes] for name in ('tmin_score', 'tmax_score')}
    batch |= {'tmin': [torch.zeros(n) for n in sizes], 'tmax': [torch.linspace(0.5, 1, n) for n in sizes]}
    batch['bsp_feature'] = [torch.randn(n, 3) for n in sizes]
    assert [len(each) for each in model.test_step(batch)] == [3, 2]
    batch['class_scores'] = [torch.tensor([[0.2, 0.7, 0.1]] * n) for n in sizes]
    result = model.test_step(batch)[1]
    assert sorted(result.labels.tolist()) == [0, 0, 1, 1]
    assert result.labels[0] == 1


# ---------------------------------------------------------------------- proposals


def test_boundaries_are_peaks_or_high():
    score_t = np.array([0.9, 0.1, 0.3, 0.2, 0.6, 0.7, 0.1])
    np.testing.assert_array_equal(np.flatnonzero(likely_boundaries(score_t)), [2, 4, 5])


def test_truth_of_proposals():
    rows = with_truth(np.array([[0.0, 0.5], [0.6, 0.8]]), np.array([[0.25, 0.75]]))
    np.testing.assert_allclose(rows[:, 2:], [[0.25 / 0.75, 0.5], [0.15 / 0.55, 0.75]])
    np.testing.assert_array_equal(with_truth(rows[:, :2], np.zeros((0, 2)))[:, 2:], 0)


def test_classes_of_a_segment_shorter_than_a_position():
    score_tc = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = mean_class_scores(score_tc, np.array([[0.6, 0.61], [0.0, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(found, [[0, 1], [0.5, 0.5], [0, 1]])


def test_soft_nms_lowers_what_overlaps():
    rows = np.array([[0.0, 0.5, 1.0], [0.0, 0.4, 0.9], [0.6, 1.0, 0.5]])
    chosen, scores = soft_nms(rows, 0.4, 0.5, 0.9, 3)
    assert chosen.tolist() == [0, 2, 1]
    np.testing.assert_allclose(scores, [1.0, 0.5, 0.9 * np.exp(-(0.8**2) / 0.4)])
    assert soft_nms(rows, 0.4, 0.5, 0.9, 1)[0].tolist() == [0]


def test_nms_drops_what_overlaps():
    rows = np.array([[0.0, 0.4, 0.9], [0.0, 0.5, 1.0], [0.6, 1.0, 0.5]])
    np.testing.assert_array_equal(temporal_nms(rows, 0.5)[:, 2], [1.0, 0.5])
    assert len(temporal_nms(rows, 0.8)) == 3


def test_overlaps():
    iou = pairwise_temporal_iou(np.array([[0.0, 1.0]]), np.array([[0.5, 1.5], [2, 3], [1, 1]]))
    np.testing.assert_allclose(iou[:, 0], [1 / 3, 0, 0])
    assert temporal_iop(0, 1, 0.5, 1.5) == 0.5


def test_both_kinds_of_positions_weigh_the_same():
    score, label = torch.full((1, 8), 0.25), torch.tensor([[1.0] + [0.0] * 7])
    expected = -0.5 * (np.log(0.25) + np.log(0.75))
    assert binary_logistic_regression_loss(score, label).item() == pytest.approx(expected, rel=1e-3)


# ---------------------------------------------------------------------- metrics


def test_average_precision_by_hand():
    true = {'a': np.array([[0.0, 1.0], [2.0, 3.0]])}
    found = np.array([[0, 1, 0.9], [0, 1, 0.8], [2, 3, 0.7]])  # right, taken already, right
    ap = average_precision(true, ['a'] * 3, found, np.array([0.5, 0.95]))
    np.testing.assert_allclose(ap, 0.5 * 1 + 0.5 * 2 / 3)


def test_mean_precision_needs_classes():
    metric = METRICS.of('action').build(dict(type='SegmentAP'))
    truth = {'video': 'v', 'segments': np.array([[0.0, 1.0]]), 'labels': np.array([0]), 'duration': 2.0}
    metric.update(LocalizationResult(np.zeros((0, 2)), np.zeros(0)), truth)
    with pytest.raises(DataError, match='num_classes'):
        metric.compute()


def test_files_with_scores_of_positions(tmp_path):
    out = tmp_path / 'tem'
    metric = METRICS.of('action').build(dict(type='ANetMetric', metric_type='TEM', dump_config=dict(out=str(out))))
    truth = {'video': 'v_a', 'segments': np.zeros((0, 2)), 'labels': np.zeros(0, int), 'duration': 2.0}
    positions = np.arange(12.0).reshape(2, 6)
    metric.update(BoundaryResult(np.zeros((0, 2)), np.zeros(0), positions=positions), truth)
    assert metric.compute() == {}
    assert (out / 'v_a.csv').read_text().splitlines() == ['action,start,end,tmin,tmax', '0,1,2,3,4', '6,7,8,9,10']


def test_recall_under_its_newer_name(tmp_path):
    out = tmp_path / 'found.json'
    node = dict(type='ANetMetric', metric_type='AR@AN', dump_config=dict(out=str(out), output_format='json'))
    metric = METRICS.of('action').build({**node, 'metric_options': {'AR@AN': dict(max_avg_proposals=100)}})
    truth = {'video': 'v_a', 'segments': np.array([[0.0, 1.0]]), 'labels': np.array([0]), 'duration': 2.0}
    metric.update(LocalizationResult(np.array([[0.0, 0.5]]), np.array([0.9])), truth)
    assert metric.compute()['AR@100'] == pytest.approx(1.0)
    assert json.loads(out.read_text())['results']['a'][0]['segment'] == [0.0, 1.0]


def test_short_texts():
    result = LocalizationResult(np.array([[1.0, 2.5]] * 7), np.full(7, 0.5), np.zeros(7, int), 10.0, 'v', ['run'])
    assert str(result).startswith('run 1.0-2.5 s (0.50), run')
    assert str(result).endswith('and 2 more')
    assert str(result.best(0.6)) == 'nothing'
    assert str(LocalizationResult(np.array([[0.1, 0.25]]), np.array([0.5]))) == '0.100-0.250 (0.50)'
