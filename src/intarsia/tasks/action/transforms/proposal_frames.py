"""Which frames of proposals a structured segment network looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array, require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.action.datasets.proposal_list import valid_range
from intarsia.tasks.action.transforms.sampling import take_indices


@TRANSFORMS.register_module()
class SampleProposalFrames(Transform):
    """Choose a clip in each segment of proposals (``out_proposals``), or in testing clips of the whole video.

    Args:
        clip_len: Frames of a clip.
        body_segments: Segments of a proposal.
        aug_segments: Segments of the stages before and behind it.
        aug_ratio: How long these are, as parts of the proposal.
        frame_interval: Distance of neighbouring frames of a clip.
        test_interval: Distance of clips in testing.
        temporal_jitter: Move every frame by 0 ... ``frame_interval`` - 1 at random.
        mode: ``'train'``: clips begin at random places of their segments; ``'val'``: in the middle; ``'test'``.
    """

    def __init__(
        self,
        clip_len: int,
        body_segments: int,
        aug_segments: Sequence[int],
        aug_ratio: float | Sequence[float],
        frame_interval: int = 1,
        test_interval: int = 6,
        temporal_jitter: bool = False,
        mode: Literal['train', 'val', 'test'] = 'train',
    ) -> None:
        self.clip_len, self.frame_interval, self.test_interval = clip_len, frame_interval, test_interval
        self.body_segments, self.aug_segments = body_segments, aug_segments
        self.aug_ratio = (aug_ratio, aug_ratio) if isinstance(aug_ratio, (int, float)) else tuple(aug_ratio)
        self.temporal_jitter = temporal_jitter
        self.mode = require_choice('mode', mode, ('train', 'val', 'test'))

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw where clips begin, and if asked how far frames move."""
        total = results['total_frames']
        facts = {
            'clip_len': self.clip_len,
            'frame_interval': self.frame_interval,
            'num_clips': self.body_segments + sum(self.aug_segments),
        }
        if self.mode == 'test':
            begins = np.arange(0, total - self.clip_len * self.frame_interval, self.test_interval)
        else:
            begins = self.draw(rng, results['out_proposals'], total)
            facts['num_proposals'] = len(results['out_proposals'])
        numbers = begins[:, None] + np.arange(self.clip_len) * self.frame_interval
        if self.temporal_jitter:
            numbers = numbers + rng.integers(self.frame_interval, size=numbers.size).reshape(numbers.shape)
        return take_indices(results, numbers % total, **facts)

    def draw(self, rng: np.random.Generator, segment_n2: Array, total: int) -> Array:
        """Where clips begin, stage after stage of each proposal."""
        span = self.clip_len * self.frame_interval
        begins = []
        for (start, end), (low, high) in zip(
            segment_n2.tolist(), valid_range(segment_n2, total, span, self.aug_ratio).tolist(), strict=True
        ):
            stages = ((low, start - low), (start, end - start), (end, high - end + 1))
            counts = (self.aug_segments[0], self.body_segments, self.aug_segments[1])
            for (begin, length), count in zip(stages, counts, strict=True):
                begins.append(begin + self._places(rng, length - span, count))
        return np.concatenate(begins)

    def _places(self, rng: np.random.Generator, room: int, count: int) -> Array:
        """Where the clips of a stage begin, from its begin; ``room`` is how far a clip can move in it."""
        if self.mode == 'val':
            steps = np.arange(count) + 0.5
            return (steps * (room / count)).astype(np.int64) if room >= count else np.zeros(count, np.int64)
        size = (room + 1) // count
        return np.arange(count) * size + rng.integers(size, size=count) if size > 0 else np.zeros(count, np.int64)
