"""Codecs of pose estimation: what is encoded comes back, whatever the codec, the batch and the border."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from intarsia.core.registries import CODECS
from intarsia.models.assignment import assign
from intarsia.tasks.pose.codecs import blur, flip, peaks, refine
from intarsia.tasks.pose.codecs.drawing import draw_gaussians
from intarsia.tasks.pose.codecs.grouping import group_peaks

WIDTH, HEIGHT = SIZE = (192, 256)
MAPS = dict(input_size=SIZE, heatmap_size=(48, 64))
CASES = {
    'AssociativeEmbedding': [(MAPS, 3), (dict(MAPS, use_udp=True, sigma=2), 0.2), (dict(MAPS, rules='1.x'), 2)],
    'DecoupledHeatmap': [(MAPS, 6), (dict(MAPS, root_type='bbox_center'), 6)],
    'IntegralRegressionLabel': [(dict(MAPS, sigma=2), 1e-3), (dict(MAPS, sigma=2, unbiased=True), 1e-3)],
    'MSRAHeatmap': [(dict(MAPS, sigma=2), 2), (dict(MAPS, sigma=3, rules='1.x'), 2),
                    (dict(MAPS, sigma=2, unbiased=True), 0.1)],
    'MegviiHeatmap': [(dict(MAPS, kernel_size=11), 2)],
    'RegressionLabel': [(dict(input_size=SIZE), 1e-3)],
    'SPR': [(MAPS, 0.01)],
    'SimCCLabel': [(dict(input_size=SIZE), 0.25), (dict(input_size=SIZE, sigma=(4.9, 5.66), use_dark=True), 0.25),
                   (dict(input_size=SIZE, smoothing_type='standard', label_smooth_weight=0.1), 0.25)],
    'UDPHeatmap': [(MAPS, 0.2), (dict(MAPS, rules='1.x'), 0.2), (dict(MAPS, heatmap_type='combined', blur_kernel_size=3), 0.2),
                   (dict(MAPS, heatmap_type='combined', rules='1.x'), 0.2)],
}  # fmt: skip
"""Codec -> arguments, and how many pixels of the input, of which a map's has 4, a joint may be off.

Half a pixel of the map from rounding and, by some rules, a quarter for equal neighbours; decoupled maps have Gaussians
of any width, which stand a pixel off.
"""
OF_SEVERAL = ('AssociativeEmbedding', 'DecoupledHeatmap', 'SPR')
ONE_PERSON = [(name, arguments, off) for name in CASES if name not in OF_SEVERAL for arguments, off in CASES[name]]


def build(name, arguments):
    return CODECS.of('pose').build({'type': name, **arguments})


def people(num, joints=17, margin=0.15):
    draw = np.random.default_rng(0).random((num, joints, 2))
    return ((margin + (1 - 2 * margin) * draw) * SIZE).astype(np.float32)


def outputs_for(codec, keypoints_nk2, visible_nk=None):
    """What a perfect network gives for each person."""
    visible_nk = np.ones(keypoints_nk2.shape[:2], np.float32) if visible_nk is None else visible_nk
    targets = [codec.encode(xy, v) for xy, v in zip(keypoints_nk2, visible_nk, strict=True)]
    names = [name for name in ('target', 'target_x', 'target_y') if name in targets[0]]
    outputs = [torch.from_numpy(np.stack([each[name] for each in targets])) for name in names]
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def each_of(outputs, change):
    return tuple(map(change, outputs)) if isinstance(outputs, tuple) else change(outputs)


def expected(codec, keypoints):
    """UDP measures from middle to middle."""
    is_udp = type(codec).__name__ == 'UDPHeatmap'
    return keypoints * SIZE / (np.array(SIZE) - 1) if is_udp else keypoints


# ---------------------------------------------------------------------- round trips


def test_every_codec_has_a_case():
    assert sorted(CASES) == CODECS.of('pose').names()


@pytest.mark.parametrize(('name', 'arguments', 'off'), ONE_PERSON)
def test_encoded_joints_come_back(name, arguments, off):
    codec = build(name, arguments)
    keypoints = people(5)
    xy, score = codec.decode(outputs_for(codec, keypoints))
    assert xy.dtype == score.dtype == torch.float32
    assert xy.shape == (5, 17, 2)
    assert score.shape == (5, 17)
    assert np.abs(xy.numpy() - expected(codec, keypoints)).max() <= off + 1e-3
    assert (score > 0).all()


@pytest.mark.parametrize(('arguments', 'off'), CASES['AssociativeEmbedding'])
def test_people_come_back_by_their_tags(arguments, off):
    codec = build('AssociativeEmbedding', arguments)
    keypoints = np.stack([people(1)[0] * (0.4, 1), people(1)[0] * (0.4, 1) + (100, 0)]).astype(np.float32)
    visible = np.ones((2, 17), np.float32)
    target = torch.from_numpy(codec.encode(keypoints, visible)['target'])[None]
    left = torch.arange(48).expand(1, 17, 64, 48) < 23
    first, second = sorted(codec.decode((target, left * 3.0))[0].keypoints.numpy(), key=lambda xy: xy[:, 0].mean())
    assert np.abs(np.stack([first, second]) - keypoints).max() <= off + 1e-3


@pytest.mark.parametrize(('arguments', 'off'), CASES['DecoupledHeatmap'])
def test_people_come_back_from_maps_of_their_own(arguments, off):
    codec = build('DecoupledHeatmap', arguments)
    keypoints = people(3)
    encoded = codec.encode(keypoints, np.ones((3, 17)))
    maps = torch.from_numpy(encoded['instance_target']).unflatten(0, (3, 17))
    xy, score = codec.decode((maps, torch.full((3, 1), 0.5)))
    order = np.hypot(*(keypoints.max(1) - keypoints.min(1)).T).argsort()
    assert np.abs(xy.numpy() - keypoints[order]).max() <= off + 1e-3
    assert torch.allclose(score, torch.tensor(0.5))
    moved = codec.encode(keypoints, np.ones((3, 17)), rng=np.random.default_rng(1))['instance_coords']
    assert moved.shape == (3, 2)


# ---------------------------------------------------------------------- decoding


@pytest.mark.parametrize(('name', 'arguments', 'off'), ONE_PERSON)
def test_a_batch_is_its_people_and_stays_as_it_is(name, arguments, off):
    codec = build(name, arguments)
    outputs = outputs_for(codec, people(3))
    before = each_of(outputs, torch.clone)
    whole = codec.decode(outputs)
    single = [codec.decode(each_of(outputs, lambda output, i=i: output[i : i + 1])) for i in range(3)]
    for field in (0, 1):
        torch.testing.assert_close(whole[field], torch.cat([each[field] for each in single]), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(outputs, before, rtol=0, atol=0)


@pytest.mark.parametrize(('name', 'arguments', 'off'), ONE_PERSON)
def test_half_precision_is_decoded_in_single(name, arguments, off):
    codec = build(name, arguments)
    outputs = each_of(outputs_for(codec, people(2)), torch.Tensor.bfloat16)
    with torch.autocast('cpu', torch.bfloat16):
        xy, score = codec.decode(outputs)
    assert xy.dtype == score.dtype == torch.float32
    same = codec.decode(each_of(outputs, torch.Tensor.float))
    torch.testing.assert_close(xy, same[0])


@pytest.mark.parametrize(('name', 'arguments', 'off'), ONE_PERSON)
def test_a_joint_that_nobody_marked_has_no_weight_and_no_place(name, arguments, off):
    codec = build(name, arguments)
    visible = np.ones((1, 17), np.float32)
    visible[0, 3] = 0
    keypoints = people(1)
    assert not codec.encode(keypoints[0], visible[0])['target_weight'][3].any()
    xy, score = codec.decode(outputs_for(codec, keypoints, visible))
    assert torch.isfinite(xy).all()
    assert torch.isfinite(score).all()
    if 'Heatmap' in name or name == 'SimCCLabel':
        assert (xy[0, 3] < 0).all()
        assert score[0, 3] <= 0.5


@pytest.mark.parametrize(('name', 'arguments', 'off'), ONE_PERSON)
def test_joints_far_outside_have_no_weight(name, arguments, off):
    codec = build(name, arguments)
    if arguments.get('heatmap_type') == 'combined':
        pytest.skip('the loss of offsets takes every marked joint')
    outside = np.array([[-300, 20], [20, 900], [90, 90]], np.float32)
    weight = codec.encode(outside, np.ones(3, np.float32))['target_weight'].reshape(3, -1)[:, 0]
    assert weight.tolist() == [0, 0, 1]


# ---------------------------------------------------------------------- parts


def test_the_first_of_equal_peaks_counts():
    maps = torch.zeros(1, 2, 6, 7)
    maps[0, 0, 2, [3, 5]] = maps[0, 0, 4, 1] = 1
    xy, score = peaks.get_heatmap_maximum(maps)
    assert xy[0].tolist() == [[3, 2], [-1, -1]]
    assert score[0].tolist() == [1, 0]


@pytest.mark.parametrize('size', [3, 5, 11, 17])
@pytest.mark.parametrize('border', ['zero', 'reflect'])
def test_blur_is_that_of_opencv(size, border):
    maps = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    ours = blur.gaussian_blur(maps, size, border, keep_maximum=False).flatten(0, 1).numpy()
    kind = cv2.BORDER_REFLECT_101 if border == 'reflect' else cv2.BORDER_CONSTANT
    theirs = [cv2.GaussianBlur(each, (size, size), 0, borderType=kind) for each in maps.flatten(0, 1).numpy()]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_blur_at_a_pixel_and_in_the_order_of_opencv_are_the_same_blur():
    maps = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    xy = torch.tensor([0.0, 5.0]).expand(2, 3, 2)
    for border in ('zero', 'reflect'):
        whole = blur.gaussian_blur(maps, 7, border, keep_maximum=False)
        torch.testing.assert_close(blur.blur_at(maps.unsqueeze(2), xy, 7, border)[..., 0], whole[:, :, 5, 0])
    torch.testing.assert_close(blur.symmetric_blur(maps, 7), blur.gaussian_blur(maps, 7))
    with pytest.raises(ValueError, match='odd'):
        blur.gaussian_blur(maps, 4)


@pytest.mark.parametrize('function', [refine.refine_keypoints_dark, refine.refine_keypoints_dark_udp])
def test_points_of_one_map_are_refined_like_points_of_maps(function):
    points = np.array([[20.3, 30.6], [31.2, 11.1]])
    maps, _ = draw_gaussians(points, np.ones(2), (48, 64), 2, exact=True)
    both = torch.from_numpy(maps.max(0))[None, None]
    peaks_1k2 = torch.from_numpy(points.round()).float()[None, None]
    np.testing.assert_allclose(function(peaks_1k2, both)[0, 0].numpy(), points, atol=0.02)


@pytest.mark.parametrize(('mode', 'channels'), [('heatmap', 4), ('udp_combined', 12), ('offset', 8)])
def test_flipping_twice_changes_nothing(mode, channels):
    maps = torch.rand(2, channels, 5, 6)
    before = maps.clone()
    once = flip.flip_heatmaps(maps, [0, 2, 1, 3], mode=mode)
    assert torch.equal(flip.flip_heatmaps(once, [0, 2, 1, 3], mode=mode), maps)
    shifted = flip.flip_heatmaps(maps, [0, 2, 1, 3], shift=True, mode=mode)
    assert torch.equal(shifted[..., 1:], once[..., :-1])
    assert torch.equal(shifted[..., 0], once[..., 0])
    assert torch.equal(maps, before)


def test_flip_needs_an_index_for_these_joints():
    with pytest.raises(ValueError, match='3 joints.*for 4'):
        flip.flip_heatmaps(torch.zeros(1, 4, 5, 6), [0, 2, 1])
    with pytest.raises(ValueError, match="mode is 'heatmaps'"):
        flip.flip_heatmaps(torch.zeros(1, 4, 5, 6), mode='heatmaps')


def test_assignment_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for rows, columns in [(0, 2), (1, 1), (2, 5), (4, 4), (5, 6)] * 10:
        cost = rng.integers(-5, 6, (rows, columns)) if rows == 4 else rng.normal(size=(rows, columns))
        ours = assign(cost)
        best = min(cost[range(rows), list(order)].sum() for order in itertools.permutations(range(columns), rows))
        assert len(set(ours.tolist())) == rows
        assert cost[range(rows), ours].sum() == pytest.approx(best)
    with pytest.raises(ValueError, match='3 rows'):
        assign(np.zeros((3, 2)))


def test_peaks_join_the_person_with_their_tag():
    peaks_kmd = np.array([[[1, 1, 0.9, 0.0], [9, 1, 0.8, 5.0]], [[9, 5, 0.9, 5.2], [1, 5, 0.05, 0.1]]], np.float32)
    found = group_peaks(peaks_kmd, [0, 1], value_threshold=0.1, tag_threshold=1)
    assert found[:, :, :2].tolist() == [[[1, 1], [0, 0]], [[9, 1], [9, 5]]]
    assert group_peaks(peaks_kmd[:, :0], [0, 1], 0.1, 1).shape == (0, 2, 4)
    assert len(group_peaks(peaks_kmd, [0, 1], 0.1, 1, max_people=1)) == 1


@pytest.mark.parametrize(
    ('name', 'arguments', 'message'),
    [
        ('MSRAHeatmap', dict(MAPS, sigma=2, rules='2.x'), "rules is '2.x'"),
        ('UDPHeatmap', dict(MAPS, heatmap_type='disc'), 'heatmap_type'),
        ('MSRAHeatmap', dict(input_size=(192,), heatmap_size=(48, 64), sigma=2), 'input_size is a width and a height'),
        ('SimCCLabel', dict(input_size=SIZE, label_smooth_weight=0.1), "unless smoothing_type is 'standard'"),
    ],
)
def test_bad_arguments_are_named(name, arguments, message):
    with pytest.raises(Exception, match=message):
        build(name, arguments)


def test_regression_needs_two_or_four_values():
    with pytest.raises(ValueError, match='not 3'):
        build('RegressionLabel', dict(input_size=SIZE)).decode(torch.zeros(1, 17, 3))
