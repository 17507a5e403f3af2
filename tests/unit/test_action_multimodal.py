"""Samples with frames and skeletons; long videos that are cut into parts."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS, TRANSFORMS
from intarsia.data.seeding import SampleKey

T, D = TRANSFORMS.of('action'), DATASETS.of('action')


def rng():
    return np.random.default_rng(0)


def video(path, frames=12, height=32, width=48):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 25, (width, height))
    for i in range(frames):
        writer.write(np.full((height, width, 3), 20 * i, np.uint8))
    writer.release()
    return path


# ---------------------------------------------------------------------- frames and skeletons


def test_each_modality_has_its_own_frames():
    step = T.build(dict(type='MMUniformSampleFrames', clip_len=dict(RGB=4, Pose=8), num_clips=2, test_mode=True))
    out = step({'total_frames': 50, 'modality': 'Pose'}, rng())
    assert (len(out['RGB_inds']), len(out['Pose_inds'])) == (8, 16)
    assert out['modality'] == ['RGB', 'Pose']
    again = step({'total_frames': 50, 'modality': 'Pose'}, rng())
    assert np.array_equal(out['Pose_inds'], again['Pose_inds'])
    with pytest.raises(ValueError, match='clip_len'):
        T.build(dict(type='MMUniformSampleFrames', clip_len=dict(Flow=4)))


def test_joints_become_pixels_of_the_video(tmp_path):
    video(tmp_path / 'a.mp4')
    joints = np.full((1, 12, 5, 2), 10, np.float16)
    sample = {
        'frame_dir': str(tmp_path / 'a'), 'modality': ['RGB', 'Pose'], 'keypoint': joints, 'img_shape': (64, 48),
        'RGB_inds': np.array([[0, 6]]), 'Pose_inds': np.array([0, 3, 6, 9]),
    }  # fmt: skip
    out = T.build(dict(type='MMDecode'))(sample, rng())
    assert [img.shape for img in out['imgs']] == [(32, 48, 3)] * 2
    assert out['keypoint'].shape == (1, 4, 5, 2)
    assert np.unique(out['keypoint'][..., 0]) == 10
    assert np.unique(out['keypoint'][..., 1]) == 5
    assert out['keypoint_score'].shape == (1, 4, 5)
    assert out['img_shape'] == (32, 48)
    del sample['keypoint']
    with pytest.raises(DataError, match='no keypoint'):
        T.build(dict(type='MMDecode'))({**sample, 'modality': ['Pose']}, rng())


@pytest.mark.parametrize('allow_imgpad', [True, False])
def test_frames_are_cut_as_skeletons_are(allow_imgpad):
    img = np.zeros((40, 60, 3), np.uint8)
    img[10, 20], img[30, 50] = 255, 128
    joints = np.array([[[[20.0, 10.0], [50.0, 30.0], [0.0, 0.0]]]], np.float32)
    step = T.build(dict(type='MMCompact', padding=0.5, allow_imgpad=allow_imgpad))
    out = step({'imgs': [img], 'keypoint': joints, 'img_shape': (40, 60)}, rng())
    cut = out['imgs'][0]
    assert cut.shape[:2] == out['img_shape']
    (first, second, absent) = out['keypoint'][0, 0].astype(int).tolist()
    assert cut[first[1], first[0], 0] == 255
    assert cut[second[1], second[0], 0] == 128
    assert absent == [0, 0]
    assert (max(cut.shape[:2]) > 40) == allow_imgpad or not allow_imgpad


# ---------------------------------------------------------------------- parts of videos

LIST = 'films/a 3 4 1 2\nfilms/b 5 2\nfilms/c 1 3 0\n'


def parts(tmp_path, text=LIST, **more):
    file = tmp_path / 'list.txt'
    file.write_text(text)
    return D.build(dict(type='RawVideoDataset', ann_file=str(file), data_prefix='data', pipeline=[], **more))


def test_parts_that_show_the_label_are_drawn(tmp_path):
    dataset = parts(tmp_path)
    assert len(dataset) == 2
    assert dataset.get_gt_labels().tolist() == [3, 1]
    drawn = {dataset[SampleKey(0, position=i)]['filename'] for i in range(20)}
    assert drawn == {'data/films/a/part_1.mp4', 'data/films/a/part_2.mp4'}
    sample = dataset[1]
    assert (sample['label'], sample['start_index'], sample['modality']) == (1, 0, 'RGB')


def test_all_parts_are_drawn_and_names_may_continue_the_folder(tmp_path):
    dataset = parts(tmp_path, sampling_strategy='random', clipname_tmpl='_{}.mp4')
    assert len(dataset) == 3
    assert {dataset[SampleKey(1, position=i)]['filename'] for i in range(20)} == {
        'data/films/b_0.mp4', 'data/films/b_1.mp4',
    }  # fmt: skip


def test_parts_from_json(tmp_path):
    file = tmp_path / 'list.json'
    file.write_text(json.dumps([{'video_dir': 'a', 'label': 2, 'num_clips': 3, 'positive_clip_inds': [2]}]))
    dataset = D.build(dict(type='RawVideoDataset', ann_file=str(file)))
    assert dataset[0]['filename'] == 'a/part_2.mp4'
    with pytest.raises(ValueError, match='one label'):
        D.build(dict(type='RawVideoDataset', ann_file=str(file), multi_class=True, num_classes=3))
    file.write_text(json.dumps([{'video_dir': 'a', 'label': 2}]))
    with pytest.raises(DataError, match='no num_clips and no positive_clip_inds'):
        D.build(dict(type='RawVideoDataset', ann_file=str(file)))


def test_broken_lines_of_parts_are_named(tmp_path):
    with pytest.raises(DataError, match=r"list.txt:1: a line is 'folder label count \[part ...\]', not 'a b 3'"):
        parts(tmp_path, 'a b 3\n')
