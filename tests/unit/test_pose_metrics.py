"""Pose metrics: what all of them promise, values by hand, a slow matching to compare with, and errors."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from intarsia.core.errors import DataError
from intarsia.core.registries import METRICS
from intarsia.tasks.pose.metrics.average_precision import AREAS, THRESHOLDS, Annotated, Found, match
from intarsia.tasks.pose.metrics.distances import keypoint_auc, keypoint_epe, keypoint_pck_accuracy
from intarsia.tasks.pose.metrics.nms import nearby_joints_nms, nms, nms_groups
from intarsia.tasks.pose.metrics.oks import COCO_SIGMAS, oks_iou, oks_nms, soft_oks_nms
from intarsia.tasks.pose.metrics.training_accuracy import multilabel_classification_accuracy
from intarsia.tasks.pose.results import PoseResult

NUM, K = 30, 17
RNG = np.random.default_rng(5)
TRUE = RNG.uniform(20, 180, (NUM, K, 2)).round(1)
PRED = (TRUE + RNG.normal(size=TRUE.shape) * RNG.choice([2, 20], (NUM, 1, 1))).astype(np.float32)
SCORES = RNG.uniform(0.05, 1, (NUM, K)).astype(np.float32)
VISIBLE = RNG.integers(0, 3, (NUM, K))
BOXES = np.concatenate([TRUE.min(1), np.ptp(TRUE, axis=1)], 1)
FOUND_IN_BOXES = (RNG.integers(1, 20, NUM) / 20).astype(np.float32)
"""Coarse, so that many are equal."""

OF_JOINTS = [
    ('PCKAccuracy', {'thr': 0.1, 'norm_item': ('bbox', 'head', 'torso')}), ('MpiiPCKAccuracy', {}),
    ('JhmdbPCKAccuracy', {'norm_item': ('bbox', 'torso')}), ('AUC', {}), ('EPE', {}),
    ('NME', {'keypoint_indices': (1, 2)}), ('NME', {'norm_mode': 'use_norm_item', 'norm_item': 'bbox_size'}),
]  # fmt: skip
OF_COCO = [
    ('CocoMetric', {}), ('CocoMetric', {'nms_mode': 'soft_oks_nms', 'score_mode': 'bbox_rle'}),
    ('CocoMetric', {'iou_type': 'keypoints_crowd', 'use_area': False, 'nms_mode': 'none', 'score_mode': 'keypoint'}),
]  # fmt: skip


def coco_file(folder, **changes):
    rows = [
        dict(
            id=i, image_id=i // 4, category_id=1, bbox=BOXES[i].tolist(), area=float(BOXES[i, 2:].prod()) * 0.6,
            iscrowd=int(i % 11 == 7), num_keypoints=int((VISIBLE[i] > 0).sum()),
            keypoints=np.concatenate([TRUE[i], VISIBLE[i, :, None]], 1).reshape(-1).tolist(),
        )
        for i in range(NUM)
    ]  # fmt: skip
    images = [dict(id=i, file_name=f'{i}.jpg', crowdIndex=i / 9) for i in range(10)]
    content = dict(images=images, annotations=rows, categories=[dict(id=1, name='person')], **changes)
    file = folder / 'gt.json'
    file.write_text(json.dumps(content))
    return str(file)


@pytest.fixture(params=[*OF_JOINTS, *OF_COCO], ids=str)
def build(request, tmp_path):
    name, arguments = request.param
    data = dict(ann_file=coco_file(tmp_path), sigmas=COCO_SIGMAS) if name == 'CocoMetric' else {}
    return lambda **more: METRICS.of('pose').build({'type': name, **data, **arguments, **more})


def count(metric, indices):
    for i in indices:
        result = PoseResult(PRED[i : i + 1], SCORES[i : i + 1], BOXES[i : i + 1], FOUND_IN_BOXES[i : i + 1])
        truth = dict(image_id=int(i // 4), bbox_id=int(i), keypoints=TRUE[i], visible=VISIBLE[i], bbox=BOXES[i])
        metric.update(result, {**truth, 'head_size': BOXES[i, 2] / 5})
    return metric


def test_order_and_processes_play_no_part_and_none_counts_twice(build):
    whole = count(build(), range(NUM)).compute()
    assert count(build(), np.random.default_rng(0).permutation(NUM)).compute() == whole
    merged = build()
    for rank in (2, 0, 1):
        part = count(build(), range(rank, NUM, 3))
        count(part, [0, 1])  # as where samples fill up the last batch
        merged.merge(pickle.loads(pickle.dumps(part.state())))
    merged.merge(build().state())
    assert merged.compute() == whole
    assert json.loads(json.dumps(whole)) == whole
    assert all(type(value) is float for value in whole.values())


def test_a_state_is_not_changed_by_later_samples_and_reset_forgets(build):
    metric = count(build(), range(10))
    early = metric.state()
    before = pickle.dumps(early)
    whole = count(metric, range(10, NUM)).compute()
    assert pickle.dumps(early) == before
    other = build()
    other.merge(early)
    assert count(other, range(10, NUM)).compute() == whole
    assert pickle.dumps(early) == before
    metric.reset()
    with pytest.raises(ValueError, match='has counted nothing'):
        metric.compute()
    assert {f'mine/{name}' for name in whole} == count(build(prefix='mine'), range(NUM)).compute().keys()


def test_other_joints_than_the_truth_are_an_error(build):
    result = PoseResult(PRED[:1, :5], SCORES[:1, :5], BOXES[:1], FOUND_IN_BOXES[:1])
    truth = dict(image_id=0, bbox_id=0, keypoints=TRUE[0], visible=VISIBLE[0], bbox=BOXES[0], head_size=1)
    with pytest.raises(DataError, match='a result has 5 joints'):
        build().update(result, truth)


# ---------------------------------------------------------------------- distances


def test_thresholds_are_strict_and_who_has_no_size_does_not_count():
    pred, true = np.array([[[5.0, 0]], [[4.9, 0]], [[0.0, 0]]]), np.zeros((3, 1, 2))
    sizes = np.array([[10.0, 10], [10, 10], [0, 10]])
    before = sizes.copy()
    parts, mean, number = keypoint_pck_accuracy(pred, true, np.ones((3, 1), bool), 0.5, sizes)
    assert (parts.tolist(), mean, number) == ([0.5], 0.5, 1)
    np.testing.assert_array_equal(sizes, before)
    assert keypoint_auc(true, true, np.ones((3, 1), bool), 30) == pytest.approx(0.95)


def test_what_nobody_has_is_left_out_of_means():
    mask = np.array([[True, False], [True, False]])
    pred = np.zeros((2, 2, 2))
    parts, mean, number = keypoint_pck_accuracy(pred, pred, mask, 0.1, np.ones((2, 2)))
    assert (parts.tolist(), mean, number) == ([1, -1], 1, 1)


def test_a_joint_that_is_no_number_is_wrong():
    pred, true = np.full((2, 1, 2), np.nan), np.zeros((2, 1, 2))
    pred[1] = 0
    assert keypoint_pck_accuracy(pred, true, np.ones((2, 1), bool), 0.1, np.ones((2, 2)))[1] == 0.5
    assert keypoint_epe(pred, true, np.ones((2, 1), bool)) == np.inf


def test_all_labels_of_a_sample_have_to_be_right():
    output = torch.tensor([[0.9, 0.1], [0.9, 0.9], [0.1, 0.1]])
    target = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    known = torch.tensor([[1, 1], [1, 1], [1, 0]])
    assert multilabel_classification_accuracy(output, target, known).item() == 0.5
    assert multilabel_classification_accuracy(output, target, torch.zeros(3)).item() == 0


# ---------------------------------------------------------------------- average precision


def test_a_perfect_result_is_perfect_and_people_who_were_missed_count(tmp_path):
    def computed(indices):
        metric = METRICS.of('pose').build(
            dict(type='CocoMetric', ann_file=coco_file(tmp_path), sigmas=COCO_SIGMAS, nms_mode='none')
        )
        for i in indices:
            result = PoseResult(TRUE[i : i + 1], SCORES[i : i + 1], BOXES[i : i + 1], FOUND_IN_BOXES[i : i + 1])
            metric.update(result, dict(image_id=i // 4, bbox_id=i))
        return metric.compute()

    assert computed(range(NUM))['AP'] == computed(range(NUM))['AR'] == pytest.approx(1)
    counted = [i for i in range(NUM) if i % 11 != 7]
    assert computed(counted[::2])['AR'] == pytest.approx(len(counted[::2]) / len(counted))


def slow_match(oks, ignored, crowds, threshold):
    """The partner of each found person, as the protocol says it in words; -1 for none."""
    order = sorted(range(len(ignored)), key=lambda g: ignored[g])
    taken, partners = set(), []
    for row in oks:
        best, partner = min(threshold, 1 - 1e-10), -1
        for g in order:
            if g in taken and not crowds[g]:
                continue
            if partner >= 0 and not ignored[partner] and ignored[g]:
                break
            if row[g] >= best:
                best, partner = row[g], g
        taken.add(partner)
        partners.append(partner)
    return partners


@pytest.mark.parametrize('seed', range(8))
def test_matching_is_that_of_the_protocol(seed):
    rng = np.random.default_rng(seed)
    people, found = rng.integers(0, 7), rng.integers(0, 12)
    oks = rng.integers(5, 21, (found, people)) / 20  # many are equal
    areas = rng.choice([100.0, 2000.0, 20000.0], people)
    crowds = rng.random(people) < 0.2
    ignored = crowds | (rng.random(people) < 0.2)
    annotated = Annotated(np.zeros((people, 1, 3)), np.zeros((people, 4)), areas, ignored, crowds)
    found_areas = rng.choice([100.0, 2000.0, 20000.0], found)
    matches = match(Found(np.zeros((found, 1, 2)), np.zeros(found), found_areas), annotated, oks)
    for a, (low, high) in enumerate(AREAS.values()):
        left_out = ignored | (areas < low) | (areas > high)
        assert matches.counts[a] == (~left_out).sum()
        for t, threshold in enumerate(THRESHOLDS):
            partners = slow_match(oks, left_out, crowds, threshold)
            assert matches.right[a, t].tolist() == [g >= 0 for g in partners]
            outside = (found_areas < low) | (found_areas > high)
            expected = [left_out[g] if g >= 0 else outside[d] for d, g in enumerate(partners)]
            assert matches.ignored[a, t].tolist() == expected


def whole_body_file(folder):
    keypoints = np.concatenate([RNG.uniform(0, 100, (133, 2)), np.ones((133, 1))], 1)
    lists, start = {}, 0
    for name, number in (('keypoints', 17), ('foot_kpts', 6), ('face_kpts', 68), ('lefthand_kpts', 21),
                         ('righthand_kpts', 21)):  # fmt: skip
        lists[name] = keypoints[start : start + number].reshape(-1).tolist()
        start += number
    row = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 100, 100], area=5000, iscrowd=0, num_keypoints=17, **lists)
    file = folder / 'whole.json'
    file.write_text(json.dumps(dict(images=[dict(id=1, file_name='a')], annotations=[row], categories=[dict(id=1)])))
    return str(file), keypoints, lists


def test_whole_bodies_and_their_parts(tmp_path):
    file, keypoints, lists = whole_body_file(tmp_path)
    keypoints[91:112, 0] += 50  # the left hand is wrong
    result = PoseResult(keypoints[None, :, :2], keypoints[None, :, 2], np.array([[0, 0, 100, 100.0]]), np.ones(1))

    def computed(kind, **options):
        metric = METRICS.of('pose').build(dict(type=kind, ann_file=file, sigmas=[0.05] * 133, **options))
        metric.update(result, dict(image_id=1, bbox_id=0))
        return metric.compute()

    for part, ap in (('body', 1), ('foot', 1), ('face', 1), ('righthand', 1), ('lefthand', 0)):
        assert computed('CocoMetric', iou_type=f'keypoints_{part}')['AP'] == pytest.approx(ap)
    out = tmp_path / 'out.json'
    assert 0 < computed('CocoWholeBodyMetric', outfile=str(out))['AP'] < 1
    (row,) = json.loads(out.read_text())
    assert row['face_kpts'] == lists['face_kpts']
    assert row['lefthand_kpts'] != lists['lefthand_kpts']
    with pytest.raises(DataError, match="17 joints in keypoints, not 133; iou_type='keypoints_wholebody'"):
        computed('CocoMetric')
    with pytest.raises(ValueError, match='133 joints of whole bodies, not 17'):
        METRICS.of('pose').build(dict(type='CocoWholeBodyMetric', ann_file=file, sigmas=COCO_SIGMAS))


def test_results_for_a_test_server_need_no_annotations(tmp_path):
    metric = METRICS.of('pose').build(
        dict(type='CocoMetric', ann_file='nowhere.json', sigmas=COCO_SIGMAS, outfile_prefix=str(tmp_path / 'a' / 'b'),
             format_only=True, score_mode='bbox', nms_mode='none')
    )  # fmt: skip
    assert count(metric, range(6)).compute() == {}
    rows = json.loads((tmp_path / 'a' / 'b.keypoints.json').read_text())
    assert [row['image_id'] for row in rows] == [0, 0, 0, 0, 1, 1]
    np.testing.assert_array_equal(np.array(rows[5]['keypoints'], np.float32).reshape(K, 3)[:, :2], PRED[5])
    assert rows[5]['score'] == FOUND_IN_BOXES[5]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(sigmas=()), 'mAP needs sigmas'),
        (dict(format_only=True), 'format_only needs outfile'),
        (dict(nms_mode='oks'), "nms_mode is one of oks_nms, soft_oks_nms, none, not 'oks'"),
        (dict(score_mode='box'), "score_mode is one of bbox, keypoint, bbox_keypoint, bbox_rle, not 'box'"),
        (dict(iou_type='bbox'), "iou_type is one of keypoints, .*, not 'bbox'"),
    ],
)
def test_settings_that_mean_nothing_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        METRICS.of('pose').build(dict(type='CocoMetric', ann_file='a.json', **{'sigmas': COCO_SIGMAS, **arguments}))


def test_a_result_for_an_unknown_image_is_an_error(tmp_path):
    file = coco_file(tmp_path)
    metric = METRICS.of('pose').build(dict(type='CocoMetric', ann_file=file, sigmas=COCO_SIGMAS))
    metric.update(PoseResult(PRED[:1], SCORES[:1], BOXES[:1], FOUND_IN_BOXES[:1]), dict(image_id=77, bbox_id=0))
    with pytest.raises(DataError, match=r'a result for the image 77, which .*gt\.json does not have'):
        metric.compute()


# ---------------------------------------------------------------------- suppression


def test_poses_found_twice_are_kept_once():
    people = np.concatenate([TRUE[:2], TRUE[:1] + 0.5]).astype(np.float64)
    people = np.concatenate([people, np.ones((3, K, 1))], 2)
    scores, areas = np.array([0.8, 0.5, 0.9]), np.full(3, 9000.0)
    assert oks_iou(people[0], people, 9000.0, areas)[0] == 1
    assert oks_nms(people, scores, areas, 0.9).tolist() == [2, 1]
    assert soft_oks_nms(people, scores, areas, 0.9).tolist() == [2, 1, 0]
    assert soft_oks_nms(people, scores, areas, 0.9, max_dets=1).tolist() == [2]
    assert nearby_joints_nms(people[..., :2], scores).tolist() == [2, 1]
    assert oks_nms(people[:0], scores[:0], areas[:0], 0.9).tolist() == []
    with pytest.raises(ValueError, match='dist_thr is positive'):
        nearby_joints_nms(people[..., :2], scores, 0)


def test_boxes_found_twice_are_kept_once():
    boxes = np.array([[0, 0, 9, 9, 0.5], [0, 0, 9, 8, 0.9], [50, 50, 59, 59, 0.7]])
    assert nms(boxes, 0.5) == [1, 2]
    assert nms(boxes, 0.95) == [1, 2, 0]
    groups = nms_groups(torch.tensor(boxes[:, :4]), torch.tensor(boxes[:, 4]), 0.5)
    assert [group.tolist() for group in groups] == [[1, 0], [2]]
