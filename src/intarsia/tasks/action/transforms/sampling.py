"""Steps that choose which frames of a video are looked at.

They read ``total_frames`` and ``start_index`` (number of the first frame: 0 in video files, usually 1 for frames in
files), and set ``frame_inds`` (int64, clip after clip), ``clip_len``, ``frame_interval`` and ``num_clips``.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.data.transforms.transform import Results, Transform

Ints = NDArray[np.int64]


def frame_count(results: Results) -> int:
    """``total_frames`` of a sample.

    Raises:
        DataError: It has no frames.
    """
    count = int(results['total_frames'])
    if count < 1:
        raise DataError(f'{results.get("filename", results.get("frame_dir"))} has {count} frames')
    return count


def take_indices(results: Results, numbers: Any, **facts: Any) -> Results:
    """Note chosen frames, counted from 0, and facts about them."""
    numbers = np.asarray(numbers).reshape(-1).astype(np.int64)
    results.update(frame_inds=numbers + results.get('start_index', 0), **facts)
    return results


@TRANSFORMS.register_module()
class SampleFrames(Transform):
    """Choose clips, spread over the whole video.

    In training the video is divided into ``num_clips`` equal parts, and a clip begins at a random place in each
    ("Temporal Segment Networks" (Wang et al., 2016, arXiv:1608.00859)). In testing places are fixed.

    Args:
        clip_len: Frames of a clip.
        frame_interval: Distance of neighbouring frames of a clip.
        num_clips: Clips.
        temporal_jitter: Move every frame by 0 ... ``frame_interval`` - 1 at random.
        twice_sample: In testing add as many clips again, which begin where the parts do.
        out_of_bound_opt: Frames after the end: ``'loop'`` goes on from the start, ``'repeat_last'`` repeats the last
            frame of the clip that exists.
        test_mode: Fixed places.
        start_index: Has no effect; the data set has it.
        keep_tail_frames: In training let parts be fractions of frames, so that the last frames may occur too.
        target_fps: Choose frames as if the video had so many a second (``avg_fps`` says how many it has).
        rules: Where clips of several frames lie in testing. By those of 0.x each lies in the middle of its part; by
            those of 1.x the first begins with the video, the last ends with it.

    Raises:
        ValueError: A word is unknown.
    """

    def __init__(
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        temporal_jitter: bool = False,
        twice_sample: bool = False,
        out_of_bound_opt: Literal['loop', 'repeat_last'] = 'loop',
        test_mode: bool = False,
        start_index: int | None = None,
        keep_tail_frames: bool = False,
        target_fps: int | None = None,
        rules: Literal['0.x', '1.x'] = '0.x',
    ) -> None:
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.num_clips = num_clips
        self.temporal_jitter = temporal_jitter
        self.twice_sample = twice_sample
        self.out_of_bound_opt = require_choice('out_of_bound_opt', out_of_bound_opt, ('loop', 'repeat_last'))
        self.test_mode = test_mode
        self.keep_tail_frames = keep_tail_frames
        self.target_fps = target_fps
        self.rules = require_choice('rules', rules, ('0.x', '1.x'))

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw where clips begin, and if asked how far frames move."""
        count, span = frame_count(results), self.span(results.get('avg_fps'))
        begins = self.places(count, span) if self.test_mode else self.draw(rng, count, span)
        numbers = begins[:, None] + self._places_within(span)
        if self.temporal_jitter:
            numbers = numbers + rng.integers(self.frame_interval, size=numbers.size).reshape(numbers.shape)
        facts = {key: getattr(self, key) for key in ('clip_len', 'frame_interval', 'num_clips')}
        return take_indices(results, self.bounded(numbers, count), **facts)

    def span(self, fps: float | None) -> float:
        """Frames of the video that a clip covers, those after its last frame included if its part has them."""
        if self.target_fps:
            return max(1.0, self.clip_len * self.frame_interval * ((fps or self.target_fps) / self.target_fps))
        if self.rules == '1.x' and self.test_mode:
            return (self.clip_len - 1) * self.frame_interval + 1
        return self.clip_len * self.frame_interval

    def _places_within(self, span: float) -> Ints:
        """Frames of a clip, counted from its first."""
        if self.target_fps:
            return np.linspace(0, span - 1, self.clip_len).astype(np.int64)
        return np.arange(self.clip_len) * self.frame_interval

    def draw(self, rng: np.random.Generator, count: int, span: float) -> Ints:
        """Where clips of ``span`` frames begin in a video of ``count``, int64 ``(num_clips,)``."""
        room = max(count - span + 1, 0)
        parts, size = np.arange(self.num_clips), room / self.num_clips
        if self.keep_tail_frames:
            return (parts * size + rng.uniform(0, size, self.num_clips)).astype(np.int64)
        whole = int(room // self.num_clips)
        if whole > 0:
            return parts * whole + rng.integers(whole, size=self.num_clips)
        if count > max(self.num_clips, span):
            return np.sort(rng.integers(int(room), size=self.num_clips))
        return np.around(parts * size).astype(np.int64)

    def places(self, count: int, span: float) -> Ints:
        """Where clips begin in testing, int64 ``(num_clips,)``, or twice as many."""
        if self.rules == '1.x' and self.clip_len > 1:
            return self._from_start_to_end(max(count - span, 0))
        room = count if self.rules == '1.x' else max(count - span + 1, 0)
        size = room / self.num_clips
        starts = np.arange(self.num_clips) * size
        middles = starts + size / 2
        is_twice = self.twice_sample and room > 0
        return (np.concatenate([middles, starts]) if is_twice else middles).astype(np.int64)

    def _from_start_to_end(self, last: float) -> Ints:
        number = self.num_clips * (2 if self.twice_sample else 1)
        if number == 1:
            return np.array([last // 2], np.int64)
        step = last / max(self.num_clips - 1, 1)
        return np.round(np.arange(number) * (np.floor(step) if self.target_fps else step)).astype(np.int64)

    def bounded(self, numbers: Ints, count: int) -> Ints:
        """Frames ``(clips, clip_len)`` with those after the end replaced."""
        if self.out_of_bound_opt == 'loop':
            return numbers % count
        exists = numbers < count
        last = np.where(exists, numbers, 0).max(axis=1, keepdims=True)
        return np.where(exists, numbers, last)


@TRANSFORMS.register_module()
class DenseSampleFrames(SampleFrames):
    """Choose clips within a window of the video, as "Non-local Neural Networks" (Wang et al., 2017, arXiv:1711.07971).

    The clips begin at equal distances in a window of ``sample_range`` frames: in training a random one, in testing
    ``num_sample_positions`` windows from the start to the end of the video.

    Args:
        clip_len: See :class:`SampleFrames`; so the others below that are not described.
        frame_interval: Distance of neighbouring frames of a clip.
        num_clips: Clips of a window.
        sample_range: Frames of a window.
        num_sample_positions: Windows in testing.
        temporal_jitter: Move every frame at random.
        out_of_bound_opt: Frames after the end.
        test_mode: Fixed windows.
        start_index: Has no effect.
    """

    def __init__(
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        sample_range: int = 64,
        num_sample_positions: int = 10,
        temporal_jitter: bool = False,
        out_of_bound_opt: Literal['loop', 'repeat_last'] = 'loop',
        test_mode: bool = False,
        start_index: int | None = None,
    ) -> None:
        super().__init__(
            clip_len, frame_interval, num_clips, temporal_jitter,
            out_of_bound_opt=out_of_bound_opt, test_mode=test_mode,
        )  # fmt: skip
        self.sample_range = sample_range
        self.num_sample_positions = num_sample_positions

    def draw(self, rng: np.random.Generator, count: int, span: float) -> Ints:
        """Where clips begin in a random window."""
        last = max(0, count - self.sample_range)
        return self._clips_of(np.array([rng.integers(last) if last else 0]), count)

    def places(self, count: int, span: float) -> Ints:
        """Where clips begin in the windows of testing."""
        last = max(0, count - self.sample_range)
        return self._clips_of(np.linspace(0, last, self.num_sample_positions, dtype=np.int64), count)

    def _clips_of(self, windows: Ints, count: int) -> Ints:
        distance = self.sample_range // self.num_clips
        return ((windows[:, None] + np.arange(self.num_clips) * distance) % count).reshape(-1)


@TRANSFORMS.register_module()
class UniformSample(Transform):
    """Choose one frame of each of ``clip_len`` equal parts of the video; short videos repeat frames.

    Args:
        clip_len: Frames of a clip.
        num_clips: Clips, in testing only.
        test_mode: Fixed places instead of random ones: clip k of n looks at k / (n + 1) of each part.
    """

    def __init__(self, clip_len: int, num_clips: int = 1, test_mode: bool = False) -> None:
        self.clip_len = clip_len
        self.num_clips = num_clips
        self.test_mode = test_mode

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw a frame of each part."""
        part = (frame_count(results) - 1) / self.clip_len
        borders = np.round(part * np.arange(self.clip_len + 1)).astype(np.int64)
        if self.test_mode:
            moves = (part / (self.num_clips + 1) * np.arange(1, self.num_clips + 1)).astype(np.int64)
            numbers = moves[:, None] + borders[:-1]
        else:
            numbers = self.draw(rng, borders)
        return take_indices(results, numbers, clip_len=self.clip_len, frame_interval=None, num_clips=self.num_clips)

    def draw(self, rng: np.random.Generator, borders: Ints) -> Ints:
        """A frame between each two neighbouring borders, both included."""
        return rng.integers(borders[:-1], borders[1:] + 1)


@TRANSFORMS.register_module()
class UntrimmedSampleFrames(Transform):
    """Choose a clip around every so-and-so-many-th frame of a long video.

    Args:
        clip_len: Frames of a clip.
        frame_interval: With ``clip_interval`` the distance of neighbouring frames of a clip, by default 1. Without it,
            the distance of clips, by default 16; frames of a clip are then neighbours.
        start_index: Has no effect; the data set has it.
        clip_interval: Distance of clips.
    """

    def __init__(
        self,
        clip_len: int = 1,
        frame_interval: int | None = None,
        start_index: int | None = None,
        clip_interval: int | None = None,
    ) -> None:
        self.clip_len = clip_len
        self.frame_interval = frame_interval or (16 if clip_interval is None else 1)
        self.clip_interval = clip_interval

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Choose; nothing is drawn."""
        count = frame_count(results)
        distance = self.clip_interval or self.frame_interval
        step = self.frame_interval if self.clip_interval else 1
        centers = np.arange(distance // 2, count, distance)
        numbers = centers[:, None] + (np.arange(self.clip_len) - self.clip_len // 2) * step
        facts = {'clip_len': self.clip_len, 'frame_interval': self.frame_interval, 'num_clips': len(centers)}
        return take_indices(results, np.clip(numbers, 0, count - 1), **facts)


@TRANSFORMS.register_module()
class SampleAVAFrames(Transform):
    """Choose a clip around the second ``timestamp`` of a film, as AVA labels it (Gu et al., 2017, arXiv:1705.08421).

    Reads ``fps``, ``timestamp`` and ``timestamp_start`` in seconds, and ``total_frames``, or ``shot_info``: the first
    frame and the one after the last.

    Args:
        clip_len: Frames of the clip.
        frame_interval: Distance of neighbouring frames.
        test_mode: Do not move frames; in training each moves at random by up to half the distance.
    """

    def __init__(self, clip_len: int, frame_interval: int = 2, test_mode: bool = False) -> None:
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.test_mode = test_mode

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw how far frames move."""
        seconds = results['timestamp'] - results['timestamp_start']
        center = results['fps'] * seconds + results.get('start_index', 1)
        numbers = center + (np.arange(self.clip_len) - self.clip_len // 2) * self.frame_interval
        if not self.test_mode:
            numbers = numbers + self.draw(rng)
        first, end = (0, results['total_frames']) if results.get('total_frames') else results['shot_info']
        facts = {'clip_len': self.clip_len, 'frame_interval': self.frame_interval, 'num_clips': 1}
        return take_indices(results, np.clip(numbers, first, end - 1), **facts)

    def draw(self, rng: np.random.Generator) -> Ints:
        """How far each frame moves."""
        return rng.integers(-self.frame_interval // 2, (self.frame_interval + 1) // 2, size=self.clip_len)
