"""Transforms of clips: properties that recorded results do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Compose

CLIPS, LENGTH = 2, 3
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]

STEPS: list[dict[str, Any]] = [
    {'type': 'Resize', 'scale': (-1, 30)},
    {'type': 'Resize', 'scale': (31, 29), 'keep_ratio': False, 'interpolation': 'bicubic'},
    {'type': 'RandomRescale', 'scale_range': (20, 40)},
    {'type': 'RandomCrop', 'size': 24},
    {'type': 'RandomResizedCrop'},
    {'type': 'MultiScaleCrop', 'input_size': 28, 'scales': (1, 0.8, 0.6)},
    {'type': 'MultiScaleCrop', 'input_size': 28, 'scales': (1, 0.8), 'random_crop': True},
    {'type': 'CenterCrop', 'crop_size': (20, 24)},
    {'type': 'ThreeCrop', 'crop_size': (20, 40)},
    {'type': 'TenCrop', 'crop_size': 20},
    {'type': 'MultiGroupCrop', 'crop_size': 20, 'groups': 3},
    {'type': 'Flip', 'flip_ratio': 1.0},
    {'type': 'ColorJitter'},
    {'type': 'RandomErasing', 'erase_prob': 1.0, 'mode': 'rand'},
    {'type': 'Normalize', 'mean': MEAN, 'std': STD},
    {'type': 'FormatShape', 'input_format': 'NCTHW'},
]
"""One of each."""


def build(kind: str, **arguments: Any) -> Any:
    return TRANSFORMS.of('action').build({'type': kind, **arguments})


def run(steps: list[Any], results: dict[str, Any], seed: int = 0) -> Any:
    return Compose(steps, 'action')(results, np.random.default_rng(seed))


def clip(height: int = 40, width: int = 56, modality: str = 'RGB', **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    shape, count = ((height, width, 3), 1) if modality == 'RGB' else ((height, width), 2)
    return {
        'imgs': [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(CLIPS * LENGTH * count)],
        'modality': modality,
        'num_clips': CLIPS,
        'clip_len': LENGTH,
        'label': 1,
        **changes,
    }


def with_people(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    people = {
        'keypoint': rng.uniform(5, 35, (2, CLIPS * LENGTH, 5, 2)).astype(np.float32),
        'keypoint_score': rng.uniform(0, 1, (2, CLIPS * LENGTH, 5)).astype(np.float32),
        'gt_bboxes': np.array([[8, 6, 20, 25]], np.float32),
    }
    return clip(**{**people, **changes})


# ---------------------------------------------------------------------- what every step promises


@pytest.mark.parametrize('step', STEPS, ids=lambda step: step['type'])
@pytest.mark.parametrize('seed', [0, 1])
def test_same_seed_same_result_and_nothing_changed_in_place(step: dict[str, Any], seed: int) -> None:
    given, kept = clip(), clip()
    frames = given['imgs']
    first = run([step], given, seed)
    np.testing.assert_array_equal(np.array(frames), np.array(kept['imgs']))
    np.random.seed(seed + 1)
    again = run([step], clip(), seed)
    np.testing.assert_array_equal(np.array(first['imgs']), np.array(again['imgs']))
    size = first['imgs'].shape[3:] if step['type'] == 'FormatShape' else first['imgs'][0].shape[:2]
    assert tuple(first.get('img_shape', size)) == size


@pytest.mark.parametrize('step', [s for s in STEPS if 'Rand' in s['type'] or 'Multi' in s['type']], ids=str)
def test_draws_come_from_the_generator(step: dict[str, Any]) -> None:
    results = [np.array(run([step], clip(), seed)['imgs']) for seed in range(8)]
    assert any(a.shape != results[0].shape or not np.array_equal(a, results[0]) for a in results[1:])


# ---------------------------------------------------------------------- geometry


def test_key_points_and_boxes_move_with_the_pixels() -> None:
    frames = [np.zeros((40, 56, 3), np.uint8) for _ in range(CLIPS * LENGTH)]
    for frame in frames:
        frame[10:14, 20:26] = 255
    people = with_people(
        imgs=frames,
        keypoint=np.full((1, CLIPS * LENGTH, 1, 2), (23, 12), np.float32),
        keypoint_score=np.ones((1, CLIPS * LENGTH, 1), np.float32),
        gt_bboxes=np.array([[20, 10, 26, 14]], np.float32),
    )
    steps: list[Any] = [
        {'type': 'Resize', 'scale': (-1, 80)},
        {'type': 'RandomCrop', 'size': 72},
        {'type': 'Resize', 'scale': (144, 108), 'keep_ratio': False},
        {'type': 'Flip', 'flip_ratio': 1.0},
    ]
    after = run(steps, people)
    rows, columns = np.nonzero(after['imgs'][0][..., 0] > 127)
    np.testing.assert_allclose(after['keypoint'][0, 0, 0], [columns.mean() + 0.5, rows.mean() + 0.5], atol=1)
    edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    np.testing.assert_allclose(after['gt_bboxes'][0], edges, atol=1.5)
    np.testing.assert_allclose(after['scale_factor'], [80 / 40 * 144 / 72, 80 / 40 * 108 / 72])


def test_where_the_frames_are_in_those_that_were_decoded() -> None:
    crops: list[Any] = [{'type': 'CenterCrop', 'crop_size': (28, 20)}, {'type': 'CenterCrop', 'crop_size': (14, 10)}]
    after = run(crops, clip())
    np.testing.assert_allclose(after['crop_quadruple'], [21 / 56, 15 / 40, 14 / 56, 10 / 40])
    np.testing.assert_array_equal(after['crop_bbox'], [7, 5, 21, 15])
    np.testing.assert_array_equal(after['imgs'][0], clip()['imgs'][0][15:25, 21:35])


@pytest.mark.parametrize(('scale', 'size'), [((-1, 20), (20, 28)), ((56, 20), (20, 28)), ((20, 56), (20, 28)), (0.5, (20, 28))])  # fmt: skip
def test_scales_that_keep_the_ratio(scale: Any, size: tuple[int, int]) -> None:
    assert run([{'type': 'Resize', 'scale': scale}], clip())['img_shape'] == size


def test_random_crops_cover_all_places_but_the_last() -> None:
    crop = build('RandomCrop', size=37)
    drawn = [crop.draw(np.random.default_rng(seed), (40, 37)) for seed in range(60)]
    assert {each['top'] for each in drawn} == {0, 1, 2}
    assert {each['left'] for each in drawn} == {0}


def test_random_parts_have_the_size_and_shape_asked_for() -> None:
    crop = build('RandomResizedCrop', area_range=(0.3, 0.5), aspect_ratio_range=(0.5, 2.0))
    for seed in range(40):
        box = crop.draw(np.random.default_rng(seed), (200, 300))
        assert 0.29 < box['width'] * box['height'] / 60000 < 0.51
        assert 0.49 < box['width'] / box['height'] < 2.05
        assert 0 <= box['left'] <= 300 - box['width']
        assert 0 <= box['top'] <= 200 - box['height']


def test_parts_that_never_fit_become_the_middle_square() -> None:
    crop = build('RandomResizedCrop', area_range=(1.0, 1.0), aspect_ratio_range=(4.0, 4.0))
    assert crop.draw(np.random.default_rng(0), (40, 56)) == {'left': 8, 'top': 0, 'width': 40, 'height': 40}


def test_sides_of_scale_crops() -> None:
    crop = build('MultiScaleCrop', input_size=(84, 84), scales=(1, 0.875, 0.75, 0.66), max_wh_scale_gap=1)
    boxes = [crop.draw(np.random.default_rng(seed), (96, 130)) for seed in range(200)]
    levels = [96, 84, 72, 63]
    pairs = {(levels.index(box['width']), levels.index(box['height'])) for box in boxes}
    assert pairs == {(i, j) for i in range(4) for j in range(4) if abs(i - j) <= 1}
    assert crop.snapped(82, 86, (96, 130)) == (84, 84)
    assert crop.snapped(82, 81, (83, 83)) == (82, 81)


def test_ten_crops_are_five_and_their_mirror_images() -> None:
    after = run([{'type': 'TenCrop', 'crop_size': 20}], clip())
    assert len(after['imgs']) == 10 * CLIPS * LENGTH
    frames = clip()['imgs']
    np.testing.assert_array_equal(after['imgs'][LENGTH * CLIPS], frames[0][:20, 19::-1])
    np.testing.assert_array_equal(after['imgs'][-LENGTH * CLIPS - 1], frames[-1][10:30, 18:38])


def test_three_crops_end_with_the_middle() -> None:
    after = run([{'type': 'ThreeCrop', 'crop_size': 40}], clip())
    boxes = after['crop_bbox'].reshape(3, CLIPS * LENGTH, 4)[:, 0]
    np.testing.assert_array_equal(boxes[:, 0], [0, 16, 8])


# ---------------------------------------------------------------------- lazy steps


@pytest.mark.parametrize('kind', ['CenterCrop', 'RandomCrop', 'RandomResizedCrop', 'MultiScaleCrop'])
def test_one_crop_and_one_resize_are_the_same_when_lazy(kind: str) -> None:
    more = {'CenterCrop': {'crop_size': 24}, 'RandomCrop': {'size': 24}, 'MultiScaleCrop': {'input_size': 28}}
    steps: list[dict[str, Any]] = [
        {'type': kind, **more.get(kind, {})},
        {'type': 'Resize', 'scale': (32, 32), 'keep_ratio': False},
        {'type': 'Flip', 'flip_ratio': 1.0},
    ]
    eager = run(steps, clip(), 3)
    fused = run([*({**step, 'lazy': True} for step in steps), {'type': 'Fuse'}], clip(), 3)
    np.testing.assert_array_equal(np.array(eager['imgs']), np.array(fused['imgs']))
    for key in ('img_shape', 'crop_quadruple', 'scale_factor', 'flip'):
        np.testing.assert_array_equal(eager[key], fused[key])


@pytest.mark.parametrize(
    ('steps', 'message'),
    [
        ([{'type': 'RandomCrop', 'size': 24, 'lazy': True}, {'type': 'Flip'}], 'put Fuse between'),
        ([{'type': 'Fuse'}], 'there was none'),
        (
            [
                {'type': 'Flip', 'flip_ratio': 1.0, 'lazy': True},
                {'type': 'RandomCrop', 'size': 24, 'lazy': True},
            ],
            'Flip must be the last',
        ),
    ],
)
def test_lazy_steps_in_a_wrong_order(steps: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(steps, clip())


def test_lazy_steps_move_frames_only() -> None:
    with pytest.raises(DataError, match='keypoint, gt_bboxes'):
        run([{'type': 'RandomCrop', 'size': 24, 'lazy': True}], with_people())


# ---------------------------------------------------------------------- mirror images


def test_flipping_twice_changes_nothing() -> None:
    step = {'type': 'Flip', 'flip_ratio': 1.0, 'left_kp': [1, 3], 'right_kp': [2, 4]}
    after = run([step, step], with_people())
    for key in ('imgs', 'keypoint', 'keypoint_score', 'gt_bboxes'):
        np.testing.assert_allclose(np.array(after[key]), np.array(with_people()[key]), atol=1e-5)


def test_joints_change_sides_and_those_not_found_stay() -> None:
    people = with_people()
    people['keypoint'][0, 0, 1] = 0
    after = run([{'type': 'Flip', 'flip_ratio': 1.0, 'left_kp': [1], 'right_kp': [2]}], people)
    np.testing.assert_array_equal(after['keypoint'][0, 0, 2], [0, 0])
    np.testing.assert_allclose(after['keypoint'][1, 0, 1, 0], 56 - people_x(1, 0, 2), rtol=1e-6)
    np.testing.assert_array_equal(after['keypoint_score'][:, :, 1], with_people()['keypoint_score'][:, :, 2])


def people_x(person: int, frame: int, joint: int) -> float:
    return with_people()['keypoint'][person, frame, joint, 0]


@pytest.mark.parametrize('joined', [False, True])
def test_motion_to_the_left_becomes_motion_to_the_right(joined: bool) -> None:
    flow = clip(modality='Flow')
    if joined:
        flow['imgs'] = [np.stack(each, -1) for each in zip(flow['imgs'][::2], flow['imgs'][1::2], strict=True)]
    steps: list[Any] = [{'type': 'Flip', 'flip_ratio': 1.0}, {'type': 'FormatShape', 'input_format': 'NCHW'}]
    after = run(steps, flow)['imgs']
    before = run(steps[1:], clip(modality='Flow'))['imgs']
    np.testing.assert_array_equal(after[:, 0], 255 - before[:, 0, :, ::-1])
    np.testing.assert_array_equal(after[:, 1], before[:, 1, :, ::-1])


def test_labels_of_mirror_images() -> None:
    step = {'type': 'Flip', 'flip_ratio': 1.0, 'flip_label_map': {1: 5}}
    assert run([step], clip())['label'] == 5
    assert run([step], clip(label=2))['label'] == 2
    assert run([{**step, 'flip_ratio': 0.0}], clip())['label'] == 1


@pytest.mark.parametrize('sample', [with_people(), clip(modality='Flow')])
def test_what_cannot_be_flipped_vertically(sample: dict[str, Any]) -> None:
    with pytest.raises(DataError, match='vertical'):
        run([{'type': 'Flip', 'flip_ratio': 1.0, 'direction': 'vertical'}], sample)


# ---------------------------------------------------------------------- colours


def test_jitter_of_nothing_changes_nothing() -> None:
    after = run([{'type': 'ColorJitter', 'brightness': 0, 'contrast': 0, 'saturation': 0, 'hue': 0}], clip())
    hue_rounds = np.abs(np.array(after['imgs']).astype(int) - np.array(clip()['imgs']))
    assert hue_rounds.max() <= 6
    bright = build('ColorJitter').change(clip(), order=(0,), brightness=0.5)
    np.testing.assert_array_equal(bright['imgs'][0], clip()['imgs'][0] // 2)


def test_every_frame_has_its_own_noise_in_the_same_place() -> None:
    frames = [np.zeros((40, 56, 3), np.uint8)] * 3
    after = run([{'type': 'RandomErasing', 'erase_prob': 1.0, 'mode': 'rand'}], clip(imgs=frames))['imgs']
    boxes = [(each.any(2).any(1).nonzero()[0][[0, -1]], each.any(2).any(0).nonzero()[0][[0, -1]]) for each in after]
    np.testing.assert_array_equal(boxes[0], boxes[1])
    assert not np.array_equal(after[0], after[1])


# ---------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ('step', 'message'),
    [
        ({'type': 'Resize', 'scale': (-1, -1)}, 'scale'),
        ({'type': 'Resize', 'scale': (-1, 256), 'keep_ratio': False}, 'keep_ratio=False'),
        ({'type': 'Resize', 'scale': (4, 4), 'interpolation': 'cubic'}, 'interpolates'),
        ({'type': 'RandomRescale', 'scale_range': (9, 9)}, 'scale_range'),
        ({'type': 'RandomCrop', 'size': (24, 24)}, 'one positive number'),
        ({'type': 'RandomResizedCrop', 'area_range': (0.5, 1.5)}, 'area_range'),
        ({'type': 'MultiScaleCrop', 'input_size': 24, 'num_fixed_crops': 9}, 'num_fixed_crops'),
        ({'type': 'CenterCrop', 'crop_size': (1, 2, 3)}, 'crop_size'),
        ({'type': 'Flip', 'left_kp': [1]}, 'left_kp'),
        ({'type': 'Flip', 'direction': 'diagonal'}, 'direction'),
        ({'type': 'ColorJitter', 'hue': 0.6}, 'hue'),
        ({'type': 'Normalize', 'mean': [1, 2], 'std': [1]}, 'mean'),
        ({'type': 'FormatShape', 'input_format': 'NTCHW'}, "Did you mean 'NPTCHW'"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**{'kind': step['type'], **{key: value for key, value in step.items() if key != 'type'}})


@pytest.mark.parametrize(
    ('step', 'message'),
    [
        ({'type': 'CenterCrop', 'crop_size': 50}, 'does a Resize precede'),
        ({'type': 'TenCrop', 'crop_size': 50}, 'does a Resize precede'),
        ({'type': 'ThreeCrop', 'crop_size': 32}, r'Resize\(scale=\(-1, 32\)\)'),
        ({'type': 'FormatShape', 'input_format': 'NCTHW', 'collapse': True}, 'leaves out the first axis'),
        ({'type': 'Normalize', 'mean': MEAN[:2], 'std': STD[:2], 'adjust_magnitude': True}, 'scale_factor'),
        ({'type': 'Rename', 'mapping': {'label': 'imgs'}}, 'has imgs already'),
    ],
    ids=str,
)
def test_samples_that_do_not_fit(step: dict[str, Any], message: str) -> None:
    modality = 'Flow' if step['type'] == 'Normalize' else 'RGB'
    with pytest.raises(DataError, match=message):
        run([step], clip(modality=modality))
