"""Skeletons: graphs, the files they are read from, transforms, networks, heat maps of joints."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch

from intarsia.core.errors import DataError
from intarsia.core.registries import BACKBONES, DATASETS, MODELS, RECOGNIZERS, TRANSFORMS
from intarsia.tasks.action.datasets.skeleton_file import read_pickle
from intarsia.tasks.action.graph import LAYOUTS, TREES, adjacency, hop_distances, tree_adjacency
from intarsia.tasks.action.transforms.skeleton_frame import turning

RNG = np.random.default_rng


def step(name, **options):
    return TRANSFORMS.of('action').build(dict(type=name, **options))


def skeletons(people=2, frames=10, joints=17, coordinates=2, seed=0):
    return RNG(seed).uniform(5, 90, (people, frames, joints, coordinates)).astype(np.float32)


# ---------------------------------------------------------------------- graphs


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('strategy', ['uniform', 'distance', 'spatial'])
def test_the_groups_together_are_the_normalized_graph(layout, strategy):
    groups = adjacency(layout, strategy)
    assert groups.shape == ({'uniform': 1, 'distance': 2, 'spatial': 3}[strategy], *[LAYOUTS[layout].num_joints] * 2)
    np.testing.assert_allclose(groups.sum((0, 1)), 1)  # each joint takes a mean of its neighbours
    np.testing.assert_array_equal(groups.sum(0) > 0, hop_distances(LAYOUTS[layout], 1) <= 1)


def test_spatial_groups_are_nearer_and_farther_neighbours():
    same, nearer, farther = adjacency('coco', 'spatial', max_hop=1)
    np.testing.assert_array_equal(np.flatnonzero(np.diag(same)), np.arange(17))
    assert not (nearer * farther).any()


@pytest.mark.parametrize('layout', TREES)
def test_a_tree_has_one_way_to_its_root(layout):
    own, inward, outward = tree_adjacency(layout, 'spatial')
    np.testing.assert_array_equal(own, np.eye(len(own)))
    np.testing.assert_array_equal(inward > 0, outward.T > 0)
    assert (inward > 0).sum() == len(own) - 1


def test_names_that_do_not_exist():
    with pytest.raises(ValueError, match="Did you mean 'coco'"):
        adjacency('cocoo')
    with pytest.raises(ValueError, match='a strategy is'):
        adjacency('coco', 'spacial')
    with pytest.raises(ValueError, match='a mode is'):
        tree_adjacency('coco', 'x')


# ---------------------------------------------------------------------- networks


@pytest.mark.parametrize(
    ('backbone', 'head', 'shape'),
    [
        (dict(type='STGCN', in_channels=3, graph_cfg=dict(layout='coco', strategy='spatial')), 'STGCNHead', (3, 8, 17, 2)),
        (dict(type='AGCN', in_channels=3, graph_cfg=dict(layout='ntu-rgb+d', strategy='agcn')), 'STGCNHead', (3, 8, 25, 2)),
        (dict(type='STGCNPlusPlus', graph_cfg=dict(layout='coco'), gcn_adaptive='init', gcn_with_res=True,
              tcn_type='mstcn'), 'GCNHead', (2, 2, 8, 17, 3)),
        (dict(type='AAGCN', graph_cfg=dict(layout='nturgb+d')), 'GCNHead', (1, 2, 8, 25, 3)),
    ],
)  # fmt: skip
def test_a_skeleton_gets_a_class_and_gradients_reach_every_layer(backbone, head, shape):
    kind = 'SkeletonGCN' if head == 'STGCNHead' else 'RecognizerGCN'
    model = RECOGNIZERS.of('action').build(
        dict(type=kind, backbone=backbone, cls_head=dict(type=head, num_classes=4, in_channels=256))
    )
    model.init_weights()
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([[1], [3]]).expand(2, 1)
    if kind == 'RecognizerGCN' and shape[0] > 1:
        x = x[:, :1]
    losses = model.train().loss(x, {'label': label})
    losses['loss_cls'].backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert missing == []
    with torch.inference_mode():
        assert len(model.eval().predict(x)) == 2


def test_one_person_is_enough_and_the_second_one_only_halves():
    model = BACKBONES.of('action').build(dict(type='STGCN', in_channels=2, graph_cfg=dict(layout='coco')))
    one = torch.randn(1, 2, 8, 17, 1)
    both = torch.cat([one, one], dim=4)
    with torch.inference_mode():
        feats = model.eval()(both)[0]
        torch.testing.assert_close(feats[0], feats[1])
        torch.testing.assert_close(model(one)[0][0], feats[0])


# ---------------------------------------------------------------------- files


class Evil:
    def __reduce__(self):
        return os.system, ('echo hello',)


def test_a_pickle_is_read_without_running_it(tmp_path):
    rows = [dict(frame_dir='a', label=2, total_frames=10, keypoint=skeletons(), keypoint_score=np.ones((2, 10, 17)))]
    (tmp_path / 'good.pkl').write_bytes(pickle.dumps(rows))
    np.testing.assert_array_equal(read_pickle(tmp_path / 'good.pkl')[0]['keypoint'], rows[0]['keypoint'])
    (tmp_path / 'evil.pkl').write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match=r'evil\.pkl: it holds .*system, and only arrays'):
        read_pickle(tmp_path / 'evil.pkl')
    (tmp_path / 'broken.pkl').write_bytes(pickle.dumps(rows)[:50])
    with pytest.raises(DataError, match='cannot be read'):
        read_pickle(tmp_path / 'broken.pkl')


def dataset(file, **options):
    return DATASETS.of('action').build(dict(type='PoseDataset', ann_file=str(file), **options))


def test_splits_of_a_pickle(tmp_path):
    rows = [dict(frame_dir=name, label=i, total_frames=10, keypoint=skeletons()) for i, name in enumerate('abc')]
    file = tmp_path / 'd.pkl'
    file.write_bytes(pickle.dumps({'split': {'train': ['a', 'c'], 'val': ['b']}, 'annotations': rows}))
    data = dataset(file, split='train', data_prefix='folder')
    assert data.get_gt_labels().tolist() == [0, 2]
    assert data[1]['frame_dir'] == 'folder/c'
    with pytest.raises(DataError, match="no split 'test'; it has train, val"):
        dataset(file, split='test')
    file.write_bytes(pickle.dumps(rows))
    assert len(dataset(file)) == 3
    with pytest.raises(DataError, match='holds a list'):
        dataset(file, split='train')


def test_arrays_of_all_clips(tmp_path):
    keypoint = skeletons(1, 12)[0].astype(np.float16)
    file = tmp_path / 'd.npz'
    np.savez(file, keypoint=keypoint, visible=np.full((12, 17), 2), start=[0, 7], length=[7, 5], label=[1, 0],
             split=['train', 'val'], name=['a', 'b'], classes=['x', 'y'], img_shape=[100, 120])  # fmt: skip
    data = dataset(file, split='val')
    sample = data[0]
    np.testing.assert_array_equal(sample['keypoint'][0], keypoint[7:])
    assert sample['keypoint_score'].min() == 1
    assert sample['img_shape'] == (100, 120)
    assert data.CLASSES == ['x', 'y']
    np.savez(file, keypoint=keypoint)
    with pytest.raises(DataError, match='has no start, length, label'):
        dataset(file)


# ---------------------------------------------------------------------- transforms


@pytest.mark.parametrize('total', [5, 20, 30, 100])
def test_sampled_frames_are_spread_over_the_sequence(total):
    sample = step('UniformSampleFrames', clip_len=20)
    for seed in range(5):
        frames = sample({'total_frames': total}, RNG(seed))['frame_inds']
        assert frames.shape == (20,)
        assert 0 <= frames.min() <= frames.max() < total
        if total >= 20:
            assert (np.diff(frames) > 0).all()
    test = step('UniformSampleFrames', clip_len=20, num_clips=3, test_mode=True)
    first, second = (test({'total_frames': total}, RNG(seed))['frame_inds'] for seed in (1, 2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (60,)


def test_bones_and_motion():
    joints = skeletons(1, 4)
    found = step('GenSkeFeat', dataset='coco', feats=['j', 'b', 'jm', 'bm'])({'keypoint': joints.copy()}, RNG(0))[
        'keypoint'
    ]
    np.testing.assert_array_equal(found[..., :2], joints)
    np.testing.assert_allclose(found[:, :, 9, 2:4], joints[:, :, 9] - joints[:, :, 7])  # wrist and elbow
    np.testing.assert_allclose(found[:, :-1, :, 4:6], np.diff(joints, axis=1))
    assert not found[:, -1, :, 4:].any()
    with pytest.raises(DataError, match='have 25 joints, not 17'):
        step('JointToBone', dataset='nturgb+d')({'keypoint': joints}, RNG(0))


def test_normalized_skeletons_stand_upright_and_look_one_way():
    joints = RNG(0).normal(size=(1, 6, 25, 3))
    found = step('PreNormalize3D')({'keypoint': joints.copy(), 'total_frames': 6}, RNG(0))['keypoint']
    np.testing.assert_allclose(found[0, 0, 1], 0, atol=1e-9)
    shoulders = found[0, 0, 8] - found[0, 0, 4]
    np.testing.assert_allclose(shoulders / np.linalg.norm(shoulders), [1, 0, 0], atol=1e-9)
    rotation = turning(np.array([1.0, 2, 3]), np.array([0, 0, 1.0]))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation @ [1, 2, 3], [0, 0, 14**0.5], atol=1e-9)


def test_people_are_filled_up_or_left_out():
    sample = {'keypoint': skeletons(1, 6), 'keypoint_score': np.ones((1, 6, 17), np.float32), 'num_clips': 2}
    formatted = step('FormatGCNInput', num_person=2)(dict(sample), RNG(0))['keypoint']
    assert formatted.shape == (2, 2, 3, 17, 3)
    assert not formatted[:, 1].any()
    looped = step('FormatGCNInput', num_person=2, mode='loop')(dict(sample), RNG(0))['keypoint']
    np.testing.assert_array_equal(looped[:, 1], looped[:, 0])
    older = step('FormatGCNInput', input_format='NCTVM', num_person=1)({'keypoint': skeletons(3, 6)}, RNG(0))
    assert older['keypoint'].shape == (2, 6, 17, 1)


def test_a_share_of_the_joints_is_dropped():
    sample = {'keypoint': skeletons(1, 200), 'keypoint_score': np.ones((1, 200, 17)), 'total_frames': 200}
    dropped = step('DropJoints', share=0.2)(dict(sample), RNG(0))
    gone = (dropped['keypoint'] == 0).all(-1)
    assert 0.18 < gone.mean() < 0.22
    np.testing.assert_array_equal(gone, dropped['keypoint_score'] == 0)
    first, second = (step('DropJoints', share=0.2, seed=3)(dict(sample), RNG(i))['keypoint'] for i in (1, 2))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match='share=2'):
        step('DropJoints', share=2)


def test_joints_become_gaussians():
    joints = np.array([[[[5.0, 3.0], [8.4, 9.0]]]], np.float32)
    maps = step('GeneratePoseTarget', sigma=1.0, use_score=True, left_kp=(0,), right_kp=(1,), double=True)(
        {'keypoint': joints, 'keypoint_score': np.array([[[1.0, 0.5]]]), 'img_shape': (12, 16)}, RNG(0)
    )['imgs']
    assert maps.shape == (2, 2, 12, 16)
    assert maps[0, 0].argmax() == 3 * 16 + 5
    assert maps[0, 0, 3, 5] == 1
    np.testing.assert_allclose(maps[0, 0, 3, 6], np.exp(-0.5), rtol=1e-6)
    np.testing.assert_allclose(maps[0, 1].max(), 0.5 * np.exp(-(0.4**2) / 2), rtol=1e-6)
    assert maps[0, 0, 3, 9] == 0  # beyond three standard deviations
    np.testing.assert_array_equal(maps[1, 1], maps[0, 0, :, ::-1])


def test_limbs_become_ridges():
    joints = np.array([[[[3.0, 5.0], [12.0, 5.0]]]], np.float32)
    maps = step('GeneratePoseTarget', sigma=1.0, with_kp=False, with_limb=True, skeletons=[(0, 1)])(
        {'keypoint': joints, 'img_shape': (12, 16)}, RNG(0)
    )['imgs'][0, 0]
    np.testing.assert_allclose(maps[5, 3:13], 1)
    np.testing.assert_allclose(maps[6, 3:13], np.exp(-0.5), rtol=1e-6)


def test_the_part_with_the_skeleton_is_cut_out():
    joints = np.array([[[[20.0, 30.0], [60.0, 50.0], [0.0, 0.0]]]], np.float32)
    found = step('PoseCompact', padding=0.0)({'keypoint': joints, 'img_shape': (100, 100)}, RNG(0))
    assert found['img_shape'] == (20, 40)
    np.testing.assert_allclose(found['keypoint'][0, 0], [[0, 0], [40, 20], [0, 0]])


def test_registered_recognizers_take_key_points():
    for name in ('SkeletonGCN', 'RecognizerGCN'):
        assert MODELS.of('action').get(name).input_key == 'keypoint'


# ---------------------------------------------------------------------- how skeletons are kept


def test_rows_of_joints_become_people_and_frames_without_them_are_left_out():
    rows = np.ones((4, 17, 3), np.float32) * np.arange(1, 5)[:, None, None] / 8
    sample = {'keypoint': rows, 'frame_inds': np.array([2, 5, 5, 9]), 'total_frames': 12}
    found = step('DecompressPose')(dict(sample), RNG(0))
    assert found['total_frames'] == 3
    assert found['keypoint'].shape == (2, 3, 17, 2)
    np.testing.assert_array_equal(found['keypoint'][:, :, 0, 0], [[1 / 8, 2 / 8, 4 / 8], [0, 3 / 8, 0]])
    best = step('DecompressPose', squeeze=False, max_person=1)(dict(sample), RNG(0))
    assert best['keypoint'].shape == (1, 12, 17, 2)
    assert best['keypoint_score'][0, 5, 0] == np.float16(3 / 8)
    with pytest.raises(DataError, match='must not decrease'):
        step('DecompressPose')({**sample, 'frame_inds': np.array([2, 1, 5, 9])}, RNG(0))


def test_short_sequences_are_lengthened():
    sample = {'keypoint': np.arange(1.0, 4).reshape(1, 3, 1, 1), 'total_frames': 3}
    looped = step('PadTo', length=5)(dict(sample), RNG(0))
    assert looped['keypoint'].ravel().tolist() == [1, 2, 3, 1, 2]
    assert looped['total_frames'] == 5
    assert step('PadTo', length=5, mode='zero')(dict(sample), RNG(0))['keypoint'].ravel().tolist() == [1, 2, 3, 0, 0]
    with pytest.raises(DataError, match='longer than length=2'):
        step('PadTo', length=2)(dict(sample), RNG(0))


def test_features_made_one_by_one_are_those_made_at_once():
    joints = RNG(0).random((2, 4, 17, 3)).astype(np.float32)
    at_once = step('GenSkeFeat', dataset='coco', feats=['b', 'bm'])({'keypoint': joints}, RNG(0))['keypoint']
    found = step('JointToBone', dataset='coco', target='b')({'keypoint': joints}, RNG(0))
    found = step('ToMotion', dataset='coco', source='b', target='bm')(found, RNG(0))
    found = step('MergeSkeFeat', feat_list=['b', 'bm'])(found, RNG(0))
    np.testing.assert_array_equal(found['keypoint'], at_once)
    assert 'b' not in found
