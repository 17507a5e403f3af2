"""Transforms of poses: properties that recorded results do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from intarsia.core.errors import DataError
from intarsia.core.registries import CODECS, TRANSFORMS
from intarsia.data.collate import collate
from intarsia.data.device import ToDevice, split_normalize
from intarsia.data.transforms.transform import Compose
from intarsia.tasks.pose.codecs.drawing import draw_people
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.transforms.affine import crop_matrix, move, udp_matrix
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD, cut_normal
from intarsia.tasks.pose.transforms.convert_joints import joints_of

SIZE = (48, 64)


def build(kind: str, **arguments: Any) -> Any:
    return TRANSFORMS.of('pose').build({'type': kind, **arguments})


def sample(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    joints = np.concatenate([rng.uniform(10, 90, (17, 2)), np.zeros((17, 1))], 1).astype(np.float32)
    visible = np.repeat([[1, 1, 0]], 17, 0).astype(np.float32)
    return {
        'img': rng.integers(0, 256, (100, 120, 3), dtype=np.uint8),
        'bbox': np.array([20, 10, 40, 70], np.float32),
        'rotation': 0,
        'joints_3d': joints,
        'joints_3d_visible': visible,
        'ann_info': {
            **joints_of(DatasetInfo.of('coco')),
            'image_size': np.array(SIZE),
            'heatmap_size': np.array((12, 16)),
        },
        **changes,
    }


def run(steps: list[Any], results: dict[str, Any], seed: int = 0) -> Any:
    return Compose(steps, 'pose')(results, np.random.default_rng(seed))


def test_flipping_twice_changes_nothing() -> None:
    step = {'type': 'TopDownRandomFlip', 'flip_prob': 1.0}
    before = sample(center=np.array([50, 40], np.float32))
    after = run([step, step], dict(before))
    for key in ('img', 'joints_3d', 'joints_3d_visible', 'center'):
        np.testing.assert_allclose(after[key], before[key], rtol=1e-6)


@pytest.mark.parametrize('rotation', [0, 30, -90])
@pytest.mark.parametrize('use_udp', [False, True])
def test_the_middle_of_the_box_becomes_the_middle_of_the_input(rotation: float, use_udp: bool) -> None:
    center, scale = np.array([40.5, 61.25], np.float32), np.array([0.3, 0.4], np.float32)
    make, unit = (udp_matrix, PIXEL_STD) if use_udp else (crop_matrix, 1)
    moved = move(center[None], make(center, scale * unit, rotation, SIZE))
    edge = 1 if use_udp else 0
    np.testing.assert_allclose(moved[0], [(side - edge) / 2 for side in SIZE], atol=1e-4)


def test_pixels_and_joints_move_alike() -> None:
    img = np.zeros((100, 120, 3), np.uint8)
    img[40:43, 50:53] = 255
    joints = np.zeros((17, 3), np.float32)
    joints[:, :2] = 51, 41
    steps: list[Any] = [{'type': 'TopDownGetBboxCenterScale'}, {'type': 'TopDownAffine'}]
    after = run(steps, sample(img=img, joints_3d=joints, rotation=25.0))
    rows, columns = np.nonzero(after['img'][..., 0] > 127)
    np.testing.assert_allclose(after['joints_3d'][0, :2], [columns.mean(), rows.mean()], atol=0.6)


def test_nothing_in_the_sample_is_changed_in_place() -> None:
    steps = [
        {'type': 'TopDownGetBboxCenterScale'},
        {'type': 'TopDownRandomShiftBboxCenter', 'prob': 1.0},
        {'type': 'TopDownRandomFlip', 'flip_prob': 1.0},
        {'type': 'TopDownHalfBodyTransform', 'prob_half_body': 1.0},
        {'type': 'TopDownGetRandomScaleRotation', 'rot_prob': 1.0},
        {'type': 'PhotometricDistortion'},
        {'type': 'YOLOXHSVRandomAug'},
        {'type': 'TopDownAffine'},
        {'type': 'ToTensor'},
        {'type': 'TopDownGenerateTarget', 'sigma': [1, 2]},
        {'type': 'Collect', 'keys': ['img', 'target', 'target_weight']},
    ]
    before, same = sample(), sample()
    for seed in range(4):
        collected = run(steps, dict(before), seed)
        assert collected['img'].shape == (3, 64, 48)
        assert collected['target'].shape == (2, 17, 16, 12)
    for key in ('img', 'joints_3d', 'joints_3d_visible', 'bbox'):
        np.testing.assert_array_equal(before[key], same[key])


def test_draws_come_from_the_generator() -> None:
    steps: list[Any] = [{'type': 'TopDownGetBboxCenterScale'}, {'type': 'RandomBBoxTransform', 'rotate_prob': 1.0}]
    first, again, other = (run(steps, sample(), seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first['scale'], again['scale'])
    assert first['rotation'] == again['rotation'] != other['rotation']


def test_normal_numbers_are_cut_off() -> None:
    drawn = cut_normal(np.random.default_rng(0), 2000)
    assert len(drawn) == 2000
    assert max(map(abs, drawn)) <= 1
    assert np.std(drawn) == pytest.approx(0.5396, abs=0.02)


def test_half_bodies_need_enough_joints() -> None:
    step = build('TopDownHalfBodyTransform', prob_half_body=1.0, upper_prob=0.0)
    few = np.zeros((17, 3), np.float32)
    few[:8, :2] = 1
    assert 'center' not in step(sample(joints_3d_visible=few), np.random.default_rng(0))
    no_legs = np.ones((17, 3), np.float32)
    no_legs[11:] = 0
    after = step(sample(joints_3d_visible=no_legs), np.random.default_rng(0))
    np.testing.assert_allclose(after['center'], sample()['joints_3d'][:11, :2].mean(0), rtol=1e-5)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_the_device_normalises_to_the_same_numbers(dtype: type) -> None:
    img = (np.random.default_rng(0).random((8, 6, 3)) * 255).astype(dtype)
    pipeline = [
        dict(type='ToTensor'),
        dict(type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        dict(type='Collect', keys=['img'], meta_keys=[]),
    ]
    rng = np.random.default_rng(0)
    by_steps = Compose(pipeline, 'pose')({'img': img}, rng)
    left, normalize = split_normalize(pipeline, 'pose')
    assert [node['type'] for node in left] == ['ImageToTensor', 'Collect']
    batch = collate([Compose(left, 'pose')({'img': img}, rng)])
    assert torch.equal(ToDevice('cpu', normalize)(batch)['img'][0], by_steps['img'])


def test_what_comes_between_keeps_the_normalisation_in_the_pipeline() -> None:
    normalize = dict(type='NormalizeTensor', mean=[0.5] * 3, std=[0.2] * 3)
    pipeline = [dict(type='ToTensor'), normalize, dict(type='RenameKeys', key_pairs=[]), dict(type='Collect', keys=[])]
    assert split_normalize(pipeline, 'pose')[1] is None


def test_targets_are_those_of_the_codec() -> None:
    node = {'type': 'MSRAHeatmap', 'input_size': SIZE, 'heatmap_size': (12, 16), 'sigma': 1.5}
    by_codec = run([{'type': 'GenerateTarget'}], sample(codec=CODECS.of('pose').build(node)))
    by_words = run([{'type': 'TopDownGenerateTarget', 'sigma': 1.5}], sample())
    np.testing.assert_array_equal(by_codec['target'], by_words['target'])
    info = {**sample()['ann_info'], 'use_different_joint_weights': True}
    weighed = run([{'type': 'TopDownGenerateTarget', 'sigma': 1.5}], sample(ann_info=info))
    np.testing.assert_array_equal(weighed['target_weight'], by_words['target_weight'] * info['joint_weights'])
    with pytest.raises(DataError, match='needs the codec'):
        run([{'type': 'GenerateTarget'}], sample())


def test_joints_get_other_numbers() -> None:
    step = build('KeypointConverter', num_keypoints=16, mapping=[((11, 12), 6), (9, 15)], dataset_info='mpii')
    before = sample()
    after = step(dict(before), np.random.default_rng(0))
    hips = before['joints_3d'][[11, 12], :2].mean(0)
    np.testing.assert_allclose(after['joints_3d'][6, :2], hips, rtol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(after['joints_3d_visible'][:, 0]), [6, 15])
    assert after['ann_info']['flip_pairs'] == DatasetInfo.of('mpii').flip_pairs
    with pytest.raises(ValueError, match='maps to joints'):
        build('KeypointConverter', num_keypoints=4, mapping=[(0, 4)])


def test_where_people_meet_the_greater_value_counts() -> None:
    people = np.array([[[5, 5, 2]], [[8, 5, 1]], [[30, 5, 2]], [[2, 2, 0]]], np.float32)
    maps = draw_people(people, (16, 12), 2.0)
    assert maps.shape == (1, 12, 16)
    assert maps[0, 5, 5] == maps[0, 5, 8] == 1
    assert maps[0, 5, 6] == pytest.approx(np.exp(-1 / 8), rel=1e-6)


def test_too_many_people() -> None:
    joints = np.ones((3, 17, 3), np.float32)
    results = {'joints': [joints], 'mask': [np.ones((16, 16))], 'ann_info': {'heatmap_size': [16]}}
    with pytest.raises(DataError, match='3 people in an image, but max_num_people=2'):
        run([{'type': 'BottomUpGenerateTarget', 'sigma': 2, 'max_num_people': 2}], results)


def test_collect_renames_and_looks_into_ann_info() -> None:
    step = build('Collect', keys=['img', ('joints_3d', 'joints')], meta_keys=['image_size', 'nothing'])
    collected = step(sample(bbox_id=5), np.random.default_rng(0))
    assert set(collected) == {'img', 'joints', 'img_metas'}
    assert set(collected['img_metas']) == {'image_size', 'bbox_id'}
    with pytest.raises(DataError, match='wants target'):
        build('Collect', keys=['target'])(sample(), np.random.default_rng(0))
