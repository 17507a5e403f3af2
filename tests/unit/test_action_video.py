"""Video files frame by frame, steps that choose and decode frames, lists of clips, and files that are broken."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from intarsia.core.errors import BrokenFileError, DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.image import write_image
from intarsia.data.io.timeline import Timeline
from intarsia.data.io.video import VideoReader, VideoWriter
from intarsia.data.io.video_backends import MODULES, import_backend, is_installed
from intarsia.data.io.video_opencv import OpenCVDecoder
from intarsia.data.loader import Loader
from intarsia.data.samplers import RandomSampler, SequentialSampler
from intarsia.data.seeding import SampleKey
from intarsia.data.transforms.transform import Compose
from intarsia.data.wrappers import RepeatDataset
from intarsia.tasks.action.clip_check import check_clips
from intarsia.tasks.action.datasets.rawframe_dataset import RawframeDataset
from intarsia.tasks.action.datasets.video_dataset import ImageDataset, VideoDataset
from intarsia.tasks.action.video_steps import reading_videos

ACTIONS = Path(__file__).parents[2] / 'data/actions'
VIDEOS = sorted((ACTIONS / 'videos').glob('*/*.mp4'))
EXACT = [name for name in ('opencv', 'pyav') if is_installed(name)]


@pytest.fixture
def long_video(tmp_path):
    """150 frames with a key frame every 12, in which something moves."""
    path = tmp_path / 'long.mp4'
    picture = cv2.resize(np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8), (96, 64))
    with VideoWriter(path, 30) as writer:
        for number in range(150):
            frame = picture.copy()
            frame[number % 50 : number % 50 + 9, number // 2 : number // 2 + 9] = number
            writer.write(frame)
    return path


needs_times = pytest.mark.skipif(OpenCVDecoder.TIME is None, reason='OpenCV before 4.11 gives no timestamps')


def step(name, **arguments):
    return TRANSFORMS.of('action').build({'type': name, **arguments})


def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------- frames by number


@pytest.mark.parametrize('backend', EXACT)
@pytest.mark.parametrize('path', VIDEOS[::15], ids=lambda path: path.stem)
def test_frames_are_those_of_decoding_from_the_start(path, backend):
    reader = VideoReader(path, backend, num_threads=1)
    all_frames = list(reader)
    assert len(reader) == len(all_frames)
    draws = np.random.default_rng(len(all_frames))
    for _ in range(5):
        wanted = draws.integers(0, len(all_frames), draws.integers(1, 12))
        for number, frame in zip(wanted, reader.frames_at(wanted), strict=True):
            np.testing.assert_array_equal(frame, all_frames[number])


@pytest.mark.parametrize('backend', EXACT)
def test_seeking_changes_no_frame(long_video, backend):
    reader = VideoReader(long_video, backend)
    all_frames = list(reader)
    assert len(reader) == len(all_frames) == 150
    assert reader.fps == 30
    for wanted in ([149], [100, 3, 100], [60, 61, 62, 148], [30, 75, 120], range(0, 150, 7)):
        for number, frame in zip(wanted, reader.frames_at(list(wanted)), strict=True):
            np.testing.assert_array_equal(frame, all_frames[number])
    assert reader.key_of(75) <= 75


@needs_times
def test_opencv_seeks_only_if_that_saves_decoding(long_video, monkeypatch):
    decoder = VideoReader(long_video)._decoder
    assert [number for number in (0, 20, 40, 149) if decoder._is_far(number, -1)] == [40, 149]
    assert not decoder._is_far(149, 130)
    monkeypatch.setattr(decoder, '_has_reached', lambda capture, number: False)  # a seek that fails
    np.testing.assert_array_equal(decoder.decode([149])[0], list(VideoReader(long_video))[149])
    assert decoder._timeline is None


def test_colours_come_in_the_order_that_is_asked_for(long_video):
    bgr, rgb = (VideoReader(long_video, channel_order=order).frames_at([5])[0] for order in ('bgr', 'rgb'))
    np.testing.assert_array_equal(bgr[..., ::-1], rgb)


def test_a_number_that_comes_twice_is_one_array_and_none_is_none(long_video):
    first, second = VideoReader(long_video).frames_at([7, 7])
    assert first is second
    assert VideoReader(long_video).frames_at([]) == []


def test_numbers_outside_the_video_are_errors(long_video):
    reader = VideoReader(long_video)
    with pytest.raises(IndexError, match='frames 0 to 149, but 3 to 150'):
        reader.frames_at([3, 150])


def test_the_last_frame_stands_for_those_that_cannot_be_decoded(long_video, monkeypatch):
    reader = VideoReader(long_video)
    last = reader.frames_at([149])[0]
    monkeypatch.setattr(reader._decoder, 'num_frames', 160)  # packets that are no frames
    np.testing.assert_array_equal(reader.frames_at([159])[0], last)
    assert len(reader) == 150


def test_broken_and_missing_videos_are_named(tmp_path):
    broken = tmp_path / 'broken.mp4'
    broken.write_bytes(VIDEOS[0].read_bytes()[:2000])
    for backend in EXACT:
        with pytest.raises(BrokenFileError, match=r'broken\.mp4 cannot be decoded'):
            VideoReader(broken, backend)
    with pytest.raises(BrokenFileError, match=r'no video .*none\.mp4'):
        VideoReader(tmp_path / 'none.mp4')


@pytest.mark.parametrize('backend', [name for name in MODULES if not is_installed(name)])
def test_a_backend_that_is_not_installed_says_how_to_get_it(backend):
    with pytest.raises(DataError, match=r"pip install 'intarsia\[video\]'"):
        import_backend(backend)


def test_a_timeline_needs_packets_without_doubt():
    timeline = Timeline.of([(0, True), (3, False), (1, False), (2, False), (4, True), (5, False)])
    assert timeline is not None
    assert timeline.times == [0, 1, 2, 3, 4, 5]
    assert [timeline.key_of(number) for number in range(6)] == [0, 0, 0, 0, 4, 4]
    assert timeline.is_steady()
    assert not Timeline([0, 1, 3], [0]).is_steady()
    for doubtful in ([], [(0, True), (None, False)], [(0, True), (0, False)], [(1, True), (0, False)]):
        assert Timeline.of(doubtful) is None


# ---------------------------------------------------------------------- choosing frames


def chosen(name, total, start=0, **arguments):
    results = step(name, **arguments)({'total_frames': total, 'start_index': start}, rng())
    return results['frame_inds'].tolist()


def test_training_takes_one_clip_of_every_part():
    sample = step('SampleFrames', clip_len=2, frame_interval=3, num_clips=4)
    seen = np.array(
        [sample({'total_frames': 45, 'start_index': 0}, np.random.default_rng(i))['frame_inds'] for i in range(99)]
    )
    begins = seen.reshape(99, 4, 2)[..., 0]
    assert (seen.reshape(99, 4, 2)[..., 1] - begins == 3).all()
    for part in range(4):  # (45 - 6 + 1) // 4 = 10 frames each
        assert set(begins[:, part]) == set(range(10 * part, 10 * part + 10))


def test_testing_takes_the_middle_of_every_part_or_goes_from_start_to_end():
    assert chosen('SampleFrames', 30, clip_len=1, num_clips=3, test_mode=True) == [5, 15, 25]
    assert chosen('SampleFrames', 12, start=1, clip_len=2, num_clips=2, test_mode=True) == [3, 4, 9, 10]
    assert chosen('SampleFrames', 12, clip_len=2, num_clips=2, test_mode=True, rules='1.x') == [0, 1, 10, 11]
    assert chosen('SampleFrames', 30, clip_len=1, num_clips=3, test_mode=True, twice_sample=True) == [
        5,
        15,
        25,
        0,
        10,
        20,
    ]


def test_frames_after_the_end_begin_again_or_repeat_the_last():
    assert chosen('SampleFrames', 3, clip_len=5, test_mode=True) == [0, 1, 2, 0, 1]
    assert chosen('SampleFrames', 3, clip_len=5, test_mode=True, out_of_bound_opt='repeat_last') == [0, 1, 2, 2, 2]


def test_a_target_rate_spreads_the_clip_over_more_frames():
    sample = step('SampleFrames', clip_len=4, frame_interval=2, target_fps=15, test_mode=True, rules='1.x')
    results = sample({'total_frames': 100, 'start_index': 0, 'avg_fps': 30.0}, rng())
    assert results['frame_inds'].tolist() == [42, 47, 52, 57]  # 16 frames in the middle


def test_jitter_moves_frames_by_less_than_their_distance():
    fixed, moved = (
        chosen('SampleFrames', 100, clip_len=8, frame_interval=4, test_mode=True, temporal_jitter=jitter)
        for jitter in (0, 1)
    )
    moves = np.array(moved) - fixed
    assert moves.min() >= 0
    assert 1 <= moves.max() < 4


def test_dense_windows_start_at_equal_distances_in_testing():
    found = chosen('DenseSampleFrames', 164, clip_len=1, num_clips=2, num_sample_positions=3, test_mode=True)
    assert found == [0, 32, 50, 82, 100, 132]
    windows = {chosen('DenseSampleFrames', total, clip_len=1, num_clips=1)[0] < total - 64 for total in range(70, 99)}
    assert windows == {True}


def test_uniform_samples_take_one_frame_of_every_part():
    assert chosen('UniformSample', 9, clip_len=4, test_mode=True) == [1, 3, 5, 7]
    drawn = np.array(chosen('UniformSample', 9, clip_len=4))
    assert ((drawn >= [0, 2, 4, 6]) & (drawn <= [2, 4, 6, 8])).all()


def test_untrimmed_videos_get_a_clip_around_every_center():
    assert chosen('UntrimmedSampleFrames', 41, clip_len=3, frame_interval=16) == [7, 8, 9, 23, 24, 25, 39, 40, 40]
    assert chosen('UntrimmedSampleFrames', 20, clip_len=2, clip_interval=16, frame_interval=4) == [4, 8]


def test_bad_words_and_empty_videos_are_errors():
    with pytest.raises(ValueError, match='out_of_bound_opt is one of loop, repeat_last'):
        step('SampleFrames', clip_len=1, out_of_bound_opt='lop')
    with pytest.raises(DataError, match='has 0 frames'):
        chosen('SampleFrames', 0, clip_len=1)


# ---------------------------------------------------------------------- decoding


@pytest.mark.parametrize('name', ['Decord', 'OpenCV', 'PIMS', *(['PyAV'] if is_installed('pyav') else [])])
def test_every_name_decodes_the_same_frames(name, long_video):
    steps = Compose([{'type': f'{name}Init'}, {'type': f'{name}Decode'}], 'action')
    results = steps({'filename': str(long_video), 'frame_inds': np.array([[90, 4], [4, 149]])}, rng())
    assert (results['total_frames'], results['avg_fps']) == (150, 30)
    assert results['img_shape'] == results['original_shape'] == (64, 96)
    assert 'video_reader' not in results
    expected = VideoReader(long_video, channel_order='rgb').frames_at([90, 4, 4, 149])
    for frame, truth in zip(results['imgs'], expected, strict=True):
        assert np.abs(frame.astype(int) - truth).max() <= 6  # libraries may differ that much


@needs_times
def test_efficient_decoding_takes_key_frames(long_video):
    reader = VideoReader(long_video)
    steps = Compose(
        [{'type': 'DecordInit', 'backend': 'opencv'}, {'type': 'DecordDecode', 'mode': 'efficient'}], 'action'
    )
    frame = steps({'filename': str(long_video), 'frame_inds': np.array([31])}, rng())['imgs'][0]
    np.testing.assert_array_equal(frame[..., ::-1], reader.frames_at([24])[0])


def test_frames_in_files_are_read_once_and_moved_by_the_offset(tmp_path, monkeypatch):
    for number in range(3, 6):
        write_image(np.full((4, 6, 3), number, np.uint8), tmp_path / f'img_{number:05}.png')
    sample = {'frame_dir': str(tmp_path), 'filename_tmpl': 'img_{:05}.png', 'offset': 2, 'modality': 'RGB'}
    decode, read = step('RawFrameDecode'), []
    monkeypatch.setattr(decode, 'read', lambda path, is_flow: read.append(path) or cv2.imread(path))
    results = decode({**sample, 'frame_inds': np.array([1, 3, 1])}, rng())
    assert [int(frame.mean()) for frame in results['imgs']] == [3, 5, 3]
    assert len(read) == 2
    with pytest.raises(BrokenFileError, match=r'img_00099\.png'):
        step('RawFrameDecode')({**sample, 'frame_inds': np.array([97])}, rng())


def test_flow_is_x_and_y_in_turns(tmp_path):
    for number in (1, 2):
        for axis, value in (('x', 10), ('y', 20)):
            write_image(np.full((4, 6), value + number, np.uint8), tmp_path / f'{axis}_{number:05}.png')
    sample = {'frame_dir': str(tmp_path), 'filename_tmpl': '{}_{:05}.png', 'modality': 'Flow'}
    results = step('RawFrameDecode')({**sample, 'frame_inds': np.array([2, 1])}, rng())
    assert [frame.shape for frame in results['imgs']] == [(4, 6)] * 4
    assert [int(frame.mean()) for frame in results['imgs']] == [12, 22, 11, 21]
    array = np.stack([np.stack([np.full((4, 6), v + n) for v in (10, 20)], -1) for n in range(3)])
    results = step('ArrayDecode')({'array': array, 'frame_inds': np.array([2, 1]), 'modality': 'Flow'}, rng())
    assert [int(frame.mean()) for frame in results['imgs']] == [12, 22, 11, 21]


def test_boxes_become_pixels():
    sample = {'array': np.zeros((1, 20, 40, 3), np.uint8), 'frame_inds': np.array([0]), 'proposals': None}
    results = step('ArrayDecode')({**sample, 'gt_bboxes': np.array([[0.25, 0.5, 1, 1]])}, rng())
    assert results['gt_bboxes'].tolist() == [[10, 10, 40, 20]]
    assert results['proposals'] is None


def test_an_image_becomes_a_clip(tmp_path):
    write_image(np.full((4, 6, 3), (1, 2, 3), np.uint8), tmp_path / 'a.png')
    steps = Compose([{'type': 'ImageDecode'}, {'type': 'BuildPseudoClip', 'clip_len': 3}], 'action')
    results = steps({'filename': str(tmp_path / 'a.png')}, rng())
    assert [frame[0, 0].tolist() for frame in results['imgs']] == [[3, 2, 1]] * 3
    assert (results['clip_len'], results['num_clips']) == (3, 1)


def test_pipelines_of_frames_read_videos_too():
    sample, resize = {'type': 'SampleFrames', 'clip_len': 1}, {'type': 'Resize', 'scale': (8, 8)}
    init, decode = {'type': 'DecordInit'}, {'type': 'DecordDecode'}
    assert reading_videos([sample, {'type': 'RawFrameDecode'}, resize]) == [init, sample, decode, resize]
    assert reading_videos([sample, {'type': 'OpenCVDecode'}]) == [init, sample, {'type': 'OpenCVDecode'}]
    for untouched in ([{'type': 'PyAVInit'}, sample, {'type': 'PyAVDecode'}], [{'type': 'PoseDecode'}]):
        assert reading_videos(untouched) == untouched


# ---------------------------------------------------------------------- data sets


def write_list(tmp_path, *lines, name='list.txt'):
    (tmp_path / name).write_text('\n'.join(lines) + '\n')
    return str(tmp_path / name)


def test_lists_of_videos(tmp_path):
    found = VideoDataset(write_list(tmp_path, 'a b/c.mp4 1', '', 'd.mp4 0'), data_prefix='root', classes=['x', 'y'])
    assert [found.annotations[i]['filename'] for i in range(2)] == ['root/a b/c.mp4', 'root/d.mp4']
    assert found.get_gt_labels().tolist() == [1, 0]
    assert found.get_cat_ids(0) == [1]
    sample = found[0]
    assert (sample['label'], sample['start_index'], sample['modality'], sample['sample_idx']) == (1, 0, 'RGB', 0)


def test_lists_with_several_labels(tmp_path):
    found = VideoDataset(write_list(tmp_path, 'a.mp4 1 3', 'b.mp4 0'), multi_class=True, num_classes=4)
    assert found.get_gt_labels().tolist() == [[0, 1, 0, 1], [1, 0, 0, 0]]
    assert found[0]['label'].dtype == np.float32
    assert found[0]['label'].tolist() == [0, 1, 0, 1]


def test_lists_of_folders_of_frames(tmp_path):
    plain = RawframeDataset(write_list(tmp_path, 'a b 20 1'), data_prefix='root')[0]
    assert (plain['frame_dir'], plain['total_frames'], plain['label'], plain['start_index']) == ('root/a b', 20, 1, 1)
    assert plain['filename_tmpl'] == 'img_{:05}.jpg'
    cut = RawframeDataset(write_list(tmp_path, 'a 7 20 1 2'), with_offset=True, multi_class=True, num_classes=3)[0]
    assert (cut['offset'], cut['total_frames'], cut['label'].tolist()) == (7, 20, [0, 1, 1])


def test_lists_in_json(tmp_path):
    rows = [{'filename': 'a.mp4', 'label': [2], 'shot': 5}]
    file = write_list(tmp_path, json.dumps(rows), name='list.json')
    assert ImageDataset(file)[0].items() >= {'filename': 'a.mp4', 'label': 2, 'shot': 5}.items()
    frames = write_list(tmp_path, json.dumps([{'frame_dir': 'a', 'total_frames': 9, 'label': [2]}]), name='f.json')
    assert RawframeDataset(frames)[0]['total_frames'] == 9
    with pytest.raises(DataError, match='entry 0 has no frame_dir'):
        RawframeDataset(file)


@pytest.mark.parametrize('line', ['a.mp4', 'a.mp4 one', 'a.mp4 1 two'])
def test_a_bad_line_is_shown(tmp_path, line):
    with pytest.raises(DataError, match=rf"list\.txt:2: a line is 'path label', not '{line}'"):
        VideoDataset(write_list(tmp_path, 'a.mp4 1', line))


def test_arguments_that_contradict_each_other(tmp_path):
    file = write_list(tmp_path, 'a.mp4 1')
    for arguments in ({'multi_class': True}, {'num_classes': 3, 'classes': ['x', 'y']},
                      {'multi_class': True, 'num_classes': 3, 'sample_by_class': True}):  # fmt: skip
        with pytest.raises(ValueError, match='VideoDataset'):
            VideoDataset(file, **arguments)
    with pytest.raises(DataError, match='no clips in'):
        VideoDataset(write_list(tmp_path, ''))
    with pytest.raises(DataError, match=r'none\.txt cannot be read'):
        VideoDataset(str(tmp_path / 'none.txt'))


@pytest.mark.parametrize(('power', 'share'), [(0.0, 0.5), (1.0, 0.1)])
def test_classes_are_drawn_before_clips(tmp_path, power, share):
    file = write_list(tmp_path, 'rare.mp4 1', *[f'{i}.mp4 0' for i in range(9)])
    found = VideoDataset(file, sample_by_class=True, power=power)
    labels = [found[SampleKey(0, seed=1, position=position)]['label'] for position in range(1000)]
    assert abs(np.mean(labels) - share) < 0.05
    assert VideoDataset(file, sample_by_class=True, test_mode=True)[0]['label'] == 1


# ---------------------------------------------------------------------- broken files

READ = [{'type': 'OpenCVInit'}, {'type': 'SampleFrames', 'clip_len': 1}, {'type': 'OpenCVDecode'}]
READ.append({'type': 'Collect', 'keys': ['imgs', 'label'], 'meta_keys': []})


@pytest.fixture
def partly_broken(tmp_path):
    """A list of six videos, of which the fifth is broken and the sixth missing."""
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    names = [*map(str, VIDEOS[:4]), str(tmp_path / 'broken.mp4'), str(tmp_path / 'none.mp4')]
    return write_list(tmp_path, *[f'{name} {number}' for number, name in enumerate(names)])


@pytest.mark.parametrize('num_workers', [0, 2])
def test_training_replaces_broken_files_and_counts_them(partly_broken, num_workers, caplog):
    dataset = RepeatDataset(VideoDataset(partly_broken, READ), times=2)
    loader = Loader(dataset, RandomSampler(dataset), batch_size=4, num_workers=num_workers, persistent_workers=False)
    epochs = []
    with caplog.at_level(logging.WARNING, 'intarsia'):
        for epoch in (0, 0, 1):
            loader.start(epoch)
            epochs.append([int(label) for batch in loader for label in batch['label']])
    assert epochs[0] == epochs[1] != epochs[2]  # replacements depend on the epoch, not on what was read before
    assert len(epochs[0]) == 12
    assert set(epochs[0]) <= {0, 1, 2, 3}
    assert len(dataset.dataset.broken_files) == 2
    assert [record.message for record in caplog.records].count(
        '2 samples could not be read so far; others took their places'
    ) == 3
    if num_workers == 0:  # workers write to the same log, but not to this one
        told = [record.message for record in caplog.records if 'takes its place' in record.message]
        assert len(told) == 2
        assert any('broken.mp4 cannot be decoded' in text for text in told)


def test_the_number_of_workers_changes_no_replacement(partly_broken):
    dataset = VideoDataset(partly_broken, READ)
    orders = []
    for num_workers in (0, 2):
        loader = Loader(dataset, RandomSampler(dataset), batch_size=2, num_workers=num_workers, seed=5)
        orders.append([int(label) for batch in loader for label in batch['label']])
    assert orders[0] == orders[1]


def test_evaluation_ends_with_the_name_of_the_file(partly_broken):
    dataset = VideoDataset(partly_broken, READ, test_mode=True)
    with pytest.raises(BrokenFileError, match=r'broken\.mp4 cannot be decoded'):
        list(Loader(dataset, SequentialSampler(dataset), batch_size=1))


def test_training_on_nothing_but_broken_files_ends(tmp_path):
    dataset = VideoDataset(write_list(tmp_path, 'none.mp4 0'), READ)
    with pytest.raises(DataError, match='1 samples cannot be read, look at the warnings'):
        dataset[0]


def test_lists_are_checked_before_training(partly_broken, tmp_path):
    (missing,) = check_clips(VideoDataset(partly_broken, test_mode=True))
    assert (missing.file, missing.line) == (partly_broken, 6)
    assert 'clip 5 is missing: there is no' in missing.message
    assert len(check_clips(VideoDataset(partly_broken))) == 1  # a sixth is too much
    mostly = write_list(tmp_path, *[f'{path} 0' for path in VIDEOS[:20]], 'none.mp4 0', name='mostly.txt')
    assert check_clips(VideoDataset(mostly)) == []  # training replaces it
    assert len(check_clips(RepeatDataset(VideoDataset(mostly, test_mode=True), 2))) == 1
    foreign = write_list(tmp_path, f'{VIDEOS[0]} 0', '', f'{VIDEOS[1]} 2', f'{VIDEOS[2]} 3', name='foreign.txt')
    (problem,) = check_clips(VideoDataset(foreign, classes=['x', 'y']))
    assert (problem.line, problem.message) == (3, 'clip 1 has the label 2, but labels are 0 to 1 (and 1 more of 3).')
