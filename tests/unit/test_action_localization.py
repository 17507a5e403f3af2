"""Temporal localization: data sets, transforms, classes of segments, files of proposals, pictures, SSN."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from intarsia.api.proposals import write_proposals
from intarsia.config.file import config_of
from intarsia.config.schema import EvaluationConfig
from intarsia.core.errors import BrokenFileError, ConfigError, DataError
from intarsia.core.registries import DATASETS, LOCALIZERS, TRANSFORMS
from intarsia.data.seeding import SampleKey
from intarsia.tasks.action.datasets.proposal_list import read_proposal_list
from intarsia.tasks.action.feature_file import read_features
from intarsia.tasks.action.heads.ssn_head import SSNHead
from intarsia.tasks.action.heads.temporal_pyramid import TemporalPyramid, mean_of_ranges
from intarsia.tasks.action.localization_result import LocalizationResult
from intarsia.tasks.action.localizers.proposals import with_classes
from intarsia.tasks.action.localizers.ssn import SSN, move_boundaries
from intarsia.tasks.action.losses.ssn_loss import SSNLoss, ohem_hinge_loss
from intarsia.tasks.action.metrics.localization_evaluator import LocalizationEvaluator
from intarsia.tasks.action.metrics.segments import AverageRecall
from intarsia.tasks.action.proposal_counts import ProposalCounts
from intarsia.tasks.action.task import TASK
from intarsia.tasks.action.timeline import draw_timeline
from intarsia.tasks.action.transforms.localization import shares_of

RNG = np.random.default_rng(0)
ANNOTATIONS = {
    'v_a': {'duration_second': 50.0, 'duration_frame': 1000, 'feature_frame': 800,
            'annotations': [{'segment': [10.0, 20.0], 'label': 'run'}, {'segment': [30.0, 45.0], 'label': 'jump'}]},
    'v_b': {'duration_second': 20.0, 'annotations': []},
}  # fmt: skip
LOAD = dict(type='LoadLocalizationFeature')
POST = dict(soft_nms_alpha=0.4, soft_nms_low_threshold=0.5, soft_nms_high_threshold=0.9, post_process_top_k=10)


def transform(type_, **arguments):
    return TRANSFORMS.of('action').build({'type': type_, **arguments})


def write_streams(folder, annotations=ANNOTATIONS, positions=20, channels=4):
    (folder / 'anno.json').write_text(json.dumps(annotations))
    for name in annotations:
        table = RNG.normal(size=(positions, channels))
        np.savetxt(folder / f'{name}.csv', table, delimiter=',', header='a,b,c,d', comments='')
    return dict(type='ActivityNetDataset', ann_file=str(folder / 'anno.json'), data_prefix=str(folder))


def build_streams(folder, *, annotations=ANNOTATIONS, pipeline=(LOAD,), **arguments):
    node = write_streams(folder, annotations)
    return DATASETS.of('action').build({**node, 'pipeline': list(pipeline), **arguments})


# ---------------------------------------------------------------------- streams


def test_a_stream_has_features_segments_and_labels(tmp_path):
    dataset = build_streams(tmp_path, pipeline=[LOAD, dict(type='GenerateLocalizationLabels')])
    assert (len(dataset), dataset.CLASSES) == (2, ['jump', 'run'])
    sample = dataset[0]
    assert sample['raw_feature'].shape == (4, 20)
    assert sample['raw_feature'].dtype == np.float32
    np.testing.assert_array_equal(sample['gt_labels'], [1, 0])
    np.testing.assert_allclose(sample['gt_bbox'], [[0.25, 0.5], [0.75, 1.0]])  # of the 40 s that features cover
    assert dataset[1]['gt_bbox'].shape == (0, 2)


def test_shares_may_reach_out_of_the_stream():
    np.testing.assert_allclose(shares_of(ANNOTATIONS['v_a'])[1], [0.75, 1.125])


def test_the_truth_of_a_stream_is_in_seconds(tmp_path):
    truth = build_streams(tmp_path, classes=['run', 'jump']).truth(0)
    assert (truth['video'], truth['duration']) == ('v_a', 50.0)
    np.testing.assert_array_equal(truth['segments'], [[10, 20], [30, 45]])
    np.testing.assert_array_equal(truth['labels'], [0, 1])


def test_a_label_that_is_no_class(tmp_path):
    dataset = build_streams(tmp_path, classes=['runs', 'jump'])
    with pytest.raises(DataError, match="'run' is none of the 2 classes.*'runs'"):
        dataset.prepare(0)


@pytest.mark.parametrize(
    ('content', 'message'),
    [('{', 'cannot be read'), ('[]', 'is not'), ('{"database": {}}', 'converted'), ('{"v": {}}', 'no duration_second')],
)
def test_annotations_of_another_format(tmp_path, content, message):
    (tmp_path / 'anno.json').write_text(content)
    with pytest.raises(DataError, match=message):
        DATASETS.of('action').build(dict(type='ActivityNetDataset', ann_file=str(tmp_path / 'anno.json')))


def test_data_are_checked_before_training(tmp_path):
    wrong = json.loads(json.dumps(ANNOTATIONS))
    wrong['v_a']['annotations'] += [{'segment': [9, 9], 'label': 'run'}, {'segment': [60, 70], 'label': 'jmp'}]
    dataset = build_streams(tmp_path, annotations=wrong, classes=['run', 'jump'])
    (tmp_path / 'v_b.csv').unlink()
    text = '\n'.join(map(str, TASK.check_data(dataset)))
    for words in ('does not begin before it ends: 9 to 9 s', '60 to 70 s of 50.0 s', "did you mean 'jump'", 'v_b.csv'):
        assert words in text
    assert TASK.check_data(object()) == []


def test_right_data_have_no_problems(tmp_path):
    assert TASK.check_data(build_streams(tmp_path)) == []


def test_data_with_truth_get_metrics_of_segments(tmp_path):
    dataset = build_streams(tmp_path)
    assert isinstance(TASK.make_evaluator(dataset, EvaluationConfig()), LocalizationEvaluator)
    with pytest.raises(ConfigError, match='AR@AN'):
        TASK.make_evaluator(dataset, EvaluationConfig(metric='AR'))


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize('suffix', ['.npy', '.npz', '.csv'])
def test_features_of_all_formats(tmp_path, suffix):
    feat_tc, file = RNG.normal(size=(5, 3)).astype(np.float32), tmp_path / f'x{suffix}'
    if suffix == '.csv':
        np.savetxt(file, feat_tc, delimiter=',', header='a,b,c', comments='')
    else:
        (np.save if suffix == '.npy' else np.savez)(file, feat_tc)
    np.testing.assert_allclose(read_features(file), feat_tc, rtol=1e-6)


def test_files_that_are_no_features(tmp_path):
    (tmp_path / 'x.csv').write_text('a,b\n1,two\n')
    np.save(tmp_path / 'x.npy', np.zeros(3))
    for name, message in (('x.csv', 'line of names'), ('x.npy', 'no array'), ('missing.npz', 'cannot be read')):
        with pytest.raises(BrokenFileError, match=message):
            read_features(tmp_path / name)


def test_proposals_and_features_of_different_proposals(tmp_path):
    np.savetxt(tmp_path / 'v.csv', RNG.random((3, 9)), delimiter=',', header='x', comments='')
    np.save(tmp_path / 'v.npy', np.zeros((2, 32)))
    load = transform('LoadProposals', top_k=5, pgm_proposals_dir=str(tmp_path), pgm_features_dir=str(tmp_path))
    with pytest.raises(BrokenFileError, match='3 proposals.*features of 2'):
        load({'video_name': 'v'}, RNG)
    load.top_k = 2
    found = load({'video_name': 'v'}, RNG)
    assert found['bsp_feature'].shape == (2, 32)
    assert found['class_scores'].shape == (2, 2)
    assert found['tmin'].shape == found['reference_temporal_iou'].shape == (2,)


def tem_config(folder, **model):
    collect = dict(type='Collect', keys=['raw_feature'], meta_name='video_meta', meta_keys=['video_name'])
    node = dict(write_streams(folder), pipeline=[LOAD, collect, dict(type='ToTensor', keys=['raw_feature'])])
    tem = dict(type='TEM', temporal_dim=20, boundary_ratio=0.1, tem_feat_dim=4, tem_hidden_dim=8,
               tem_match_threshold=0.5)  # fmt: skip
    return dict(model={**tem, **model}, data=dict(samples_per_gpu=2, workers_per_gpu=0, train=node, val=node))


def test_proposals_are_written_for_the_second_stage(tmp_path):
    config = tem_config(tmp_path, num_classes=2)
    torch.manual_seed(0)
    torch.save(LOCALIZERS.of('action').build(config['model']).state_dict(), tmp_path / 'tem.pth')
    counts = write_proposals(config_of(config), tmp_path / 'tem.pth', tmp_path / 'out', device='cpu', top_k=7)
    assert counts == {'train': 2}  # one file of annotations is written once
    file = tmp_path / 'out/pgm_proposals/v_a.csv'
    assert file.read_text().splitlines()[0].endswith('match_iou,match_ioa,jump,run')
    rows = np.loadtxt(file, delimiter=',', skiprows=1)
    assert rows.shape == (7, 9)
    assert (np.diff(rows[:, 4]) <= 0).all()
    assert 0 < rows[:, 5].max() <= 1
    assert np.load(tmp_path / 'out/pgm_features/v_a.npy').shape == (7, 32)


def test_only_a_tem_makes_proposals(tmp_path):
    config = tem_config(tmp_path)
    config['model'] = dict(type='PEM', pem_feat_dim=32, pem_hidden_dim=4, pem_u_ratio_m=1, pem_u_ratio_l=2,
                           pem_high_temporal_iou_threshold=0.6, pem_low_temporal_iou_threshold=0.2, **POST)  # fmt: skip
    torch.save(LOCALIZERS.of('action').build(config['model']).state_dict(), tmp_path / 'pem.pth')
    with pytest.raises(ConfigError, match='not of a PEM'):
        write_proposals(config_of(config), tmp_path / 'pem.pth', tmp_path / 'out', device='cpu')


# ---------------------------------------------------------------------- classes of segments


def test_a_segment_has_its_two_likeliest_classes():
    segments, scores, labels = with_classes(
        np.array([[0.0, 0.5], [0.5, 1.0]]), np.array([1.0, 0.5]), np.array([[0.1, 0.6, 0.3], [0.8, 0.2, 0.0]])
    )
    np.testing.assert_allclose(scores, [0.6, 0.4, 0.3, 0.1])
    np.testing.assert_array_equal(labels, [1, 0, 2, 1])
    np.testing.assert_array_equal(segments[:, 0], [0, 0.5, 0, 0.5])


def test_segments_with_two_classes_count_once_as_proposals():
    def auc(rows, labels):
        segments, scores = np.array(rows)[:, :2], np.array(rows)[:, 2]
        metric = AverageRecall()
        truth = {'video': 'v', 'segments': np.array([[0.0, 0.5]]), 'labels': np.array([0]), 'duration': 1.0}
        metric.update(LocalizationResult(segments, scores, labels, 1.0), truth)
        return metric.compute()

    twice = auc([[0, 0.5, 0.9], [0, 0.5, 0.5], [0.5, 1, 0.4]], np.array([0, 1, 0]))
    assert twice == auc([[0, 0.5, 0.9], [0.5, 1, 0.4]], None)


def test_features_of_other_sizes_are_bad_data():
    model = LOCALIZERS.of('action').build(tem_node())
    with pytest.raises(DataError, match='TEM takes 4 features at 20 positions of a stream, but is given 6 at 21'):
        model(torch.zeros(1, 6, 21))


def tem_node():
    return dict(type='TEM', temporal_dim=20, boundary_ratio=0.1, tem_feat_dim=4, tem_hidden_dim=8,
                tem_match_threshold=0.5)  # fmt: skip


# ---------------------------------------------------------------------- pictures


@pytest.mark.parametrize('labels', [None, np.array([0, 1, 0])])
def test_a_timeline_has_a_row_for_each_class_or_segment(labels):
    segments = np.array([[0.0, 10.0], [20.0, 30.0], [40.0, 50.0]])
    result = LocalizationResult(segments, np.array([0.9, 0.8, 0.1]), labels, 60.0, 'v', ['run', 'jump'])
    picture = draw_timeline(result)
    assert picture.dtype == np.uint8
    assert picture.shape == (34 + 2 * 34 + 36, 960, 3)  # the third segment scores too little
    row = picture[34 + 17]
    colored = np.flatnonzero((row != row[:1]).any(1) & (np.arange(960) > 190))
    assert 190 <= colored.min() <= 192
    assert 314 <= colored[colored < 330].max() <= 316  # 10 of 60 s: 190 + 750 / 6
    assert (picture[34 + 34 + 17, 190 + 250 + 100] != 255).any()


def test_a_timeline_of_nothing():
    nothing = LocalizationResult(np.zeros((0, 2)), np.zeros(0))
    assert draw_timeline(nothing).shape == (34 + 34 + 36, 960, 3)


# ---------------------------------------------------------------------- structured segments


def test_training_and_testing_pool_alike():
    """A proposal whose stages are the sampled positions gets the same scores from both branches."""
    torch.manual_seed(0)
    head = SSNHead(in_channels=6, num_classes=3, dropout_ratio=0.0).eval()
    for layer in (head.activity_fc, head.completeness_fc, head.regressor_fc):
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    feat_tc, scale = torch.randn(9, 6), torch.ones(1, 2)
    trained = head(feat_tc, scale)
    tested = head.scores_in_stream(feat_tc, np.array([[0, 2, 7, 9]]), scale.numpy())
    for one, other in zip(trained, tested, strict=True):
        torch.testing.assert_close(one, other)


def test_a_stage_in_parts():
    pyramid = TemporalPyramid((1, (1, 2), 1), (1, 4, 1))
    feat_xc = torch.arange(6.0)[:, None]
    course, parts = pyramid.pool_segments(feat_xc, torch.tensor([[0.5, 2.0]]))
    torch.testing.assert_close(course, torch.tensor([[2.5]]))
    torch.testing.assert_close(parts, torch.tensor([[0.0, 2.5 / 3, 1.5 / 3, 3.5 / 3, 10.0]]))
    with pytest.raises(ValueError, match='three stages'):
        TemporalPyramid((1, 1))


def test_means_of_ranges_beyond_the_stream():
    score_tmk = torch.arange(4.0)[:, None, None]
    found = mean_of_ranges(score_tmk, np.array([[[0, 2]], [[3, 9]], [[2, 2]]]))
    assert found.flatten().tolist() == [0.5, 3.0, 0.0]


def test_hinge_loss_of_the_hardest():
    pred, label = torch.tensor([[0.0, 2.0], [0.5, 0.0], [3.0, 0.0]]), torch.tensor([1, 1, 1])
    assert ohem_hinge_loss(pred, label, -1, 0.5, 3).item() == 4.0
    assert ohem_hinge_loss(pred, label, 1, 1.0, 3).item() == 1.5
    with pytest.raises(ValueError, match='3 proposals have 2 labels'):
        ohem_hinge_loss(pred, label[:2], 1, 1.0, 3)


SAMPLER = dict(num_per_video=8, positive_ratio=1, background_ratio=1, incomplete_ratio=6)
ASSIGNER = dict(positive_iou_threshold=0.7, background_iou_threshold=0.01, incomplete_iou_threshold=0.3,
                background_coverage_threshold=0.02, incomplete_overlap_threshold=0.01)  # fmt: skip
WEIGHT = dict(comp_loss_weight=0.1, reg_loss_weight=0.1)
TRAINING = dict(ssn=dict(assigner=ASSIGNER, sampler=SAMPLER, loss_weight=WEIGHT))
TESTING = dict(ssn=dict(sampler=dict(test_interval=2, batch_size=4), evaluater=dict(top_k=2000, nms=0.2)))
LIST = '# 0\nv_a\n20\n1\n1\n2 4 12\n3\n2 0.9 0.9 4 11\n2 0.2 0.8 6 8\n0 0 0 13 19\n'


def test_counts_of_proposals():
    assert ProposalCounts.of(SAMPLER) == (1, 6, 1)


def test_loss_is_what_its_parts_say():
    torch.manual_seed(0)
    kind = torch.tensor([[0, *[1] * 6, 2]])
    label = torch.tensor([[2, *[1] * 6, 0]])
    activity, completeness, moved = torch.zeros(8, 4), torch.zeros(8, 3), torch.zeros(8, 3, 2)
    losses = SSNLoss()(activity, completeness, moved, kind, label, torch.full((1, 8, 2), 0.5), TRAINING)
    assert losses['loss_activity'].item() == pytest.approx(np.log(4), rel=1e-6)
    assert losses['loss_completeness'].item() == pytest.approx(0.1 * 2 / 2)  # one right, the hardest of six
    assert losses['loss_reg'].item() == pytest.approx(0.1 * 2 * 0.5 * 0.25)


def ssn_data(folder, *, test_mode=False, pipeline=()):
    (folder / 'list.txt').write_text(LIST)
    return DATASETS.of('action').build(
        dict(type='SSNDataset', ann_file=str(folder / 'list.txt'), pipeline=list(pipeline), train_cfg=TRAINING,
             test_cfg=TESTING, data_prefix='frames', test_mode=test_mode)
    )  # fmt: skip


def test_proposals_are_drawn_from_the_generator_alone(tmp_path):
    dataset = ssn_data(tmp_path, pipeline=[dict(
        type='SampleProposalFrames', clip_len=1, body_segments=5, aug_segments=(2, 2), aug_ratio=0.5)])  # fmt: skip
    key = SampleKey(0, seed=1, position=3)
    sample, again, other = dataset[key], dataset[key], dataset[key._replace(position=4)]
    np.testing.assert_array_equal(sample['frame_inds'], again['frame_inds'])
    assert (sample['frame_inds'] != other['frame_inds']).any()
    assert sample['frame_inds'].shape == (8 * 9,)
    assert sample['frame_inds'].min() >= 1
    assert sample['proposal_type'].tolist() == [0, *[1] * 6, 2]
    assert sample['proposal_labels'].tolist() == [2] * 7 + [0]
    assert sample['reg_targets'].shape == sample['proposal_scale_factor'].shape == (8, 2)


def test_a_list_that_is_broken(tmp_path):
    (tmp_path / 'list.txt').write_text(LIST[:30])
    with pytest.raises(DataError, match='v_a has'):
        list(read_proposal_list(tmp_path / 'list.txt'))


class Means(nn.Module):
    """A backbone that gives the mean of each channel."""

    def forward(self, x):
        return (x.mean((2, 3), keepdim=True),)


def test_ssn_from_frames_to_losses_and_segments(tmp_path):
    torch.manual_seed(0)
    head = dict(type='SSNHead', in_channels=3, num_classes=2, dropout_ratio=0.0)
    model = SSN(Means(), head, dropout_ratio=0.0, train_cfg=TRAINING, test_cfg=TESTING)
    sample = ssn_data(tmp_path)[0]
    batch = {key: torch.as_tensor(value)[None] for key, value in sample.items() if isinstance(value, np.ndarray)}
    out = model.train_step({'imgs': torch.rand(1, 8, 9, 3, 4, 4), **batch})
    assert set(out['log_vars']) == {'loss', 'loss_activity', 'loss_completeness', 'loss_reg'}
    out['loss'].backward()
    assert all(each.grad is not None for each in model.parameters())

    with pytest.raises(ConfigError, match='--no-validate'):
        TASK.make_evaluator(ssn_data(tmp_path), EvaluationConfig())
    dataset = ssn_data(tmp_path, test_mode=True)
    batch = {k: torch.as_tensor(v)[None] for k, v in dataset[0].items() if isinstance(v, np.ndarray)}
    results = model.eval().test_step({'imgs': torch.rand(1, 10, 3, 4, 4), **batch})
    assert set(results[0].labels.tolist()) == {0, 1}
    evaluator = TASK.make_evaluator(dataset, EvaluationConfig())
    evaluator.update(results, {'sample_idx': torch.tensor([0])})
    assert 0 <= evaluator.compute()['mAP@0.50'] <= 1


def test_boundaries_move_and_stay_within_the_stream():
    moved = move_boundaries(np.array([[0.2, 0.4], [0.8, 1.0]]), np.array([[0.5, 0.0], [0.0, np.log(2)]]))
    np.testing.assert_allclose(moved, [[0.3, 0.5], [0.7, 1.0]])


def test_a_file_has_no_proposals():
    model = SSN(Means(), dict(type='SSNHead', in_channels=3, num_classes=2))
    model.test_pipeline = lambda results: results
    with pytest.raises(DataError, match='classifies proposals'):
        model.predict(['clip.mp4'])
