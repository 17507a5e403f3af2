"""Which frames of a skeleton are taken.

Shapes: m people, t frames, v joints.
"""

from __future__ import annotations

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Results, Transform


@TRANSFORMS.register_module()
class UniformSampleFrames(Transform):
    """Split the frames into as many parts as a clip has, and take one of each.

    "Revisiting Skeleton-based Action Recognition" (Duan et al., 2021, arXiv:2104.13586). Sets ``frame_inds`` int64
    ``(num_clips * clip_len,)``. Short sequences are repeated from the start.

    Args:
        clip_len: Frames of a clip.
        num_clips: Clips of a sample.
        test_mode: Draw the same frames of a sample each time.
        seed: What they are drawn with.
    """

    def __init__(self, clip_len: int, num_clips: int = 1, test_mode: bool = False, seed: int = 255) -> None:
        if clip_len < 1 or num_clips < 1:
            raise ValueError(f'UniformSampleFrames: clip_len={clip_len} and num_clips={num_clips} must be positive')
        self.clip_len, self.num_clips, self.test_mode, self.seed = clip_len, num_clips, test_mode, seed

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Choose frames."""
        total = results['total_frames']
        draw = np.random.RandomState(self.seed) if self.test_mode else _Legacy(rng)
        clips = [self._clip(i, total, draw) for i in range(self.num_clips)]
        frames = np.concatenate(clips) % total + results.get('start_index', 0)
        results.update(frame_inds=frames.astype(np.int64), clip_len=self.clip_len, frame_interval=None)
        results['num_clips'] = self.num_clips
        return results

    def _clip(self, number: int, total: int, draw: np.random.RandomState | _Legacy) -> np.ndarray:
        length = self.clip_len
        if total < length:
            if not self.test_mode:
                start = int(draw.randint(0, total))
            else:
                start = number if total < self.num_clips else number * total // self.num_clips
            return np.arange(start, start + length)
        if total < 2 * length:  # all frames but a few: the places that are skipped are drawn
            skipped = draw.choice(length + 1, total - length, replace=False)
            offset = np.zeros(length + 1, np.int64)
            offset[skipped] = 1
            return np.arange(length) + np.cumsum(offset)[:-1]
        borders = np.arange(length + 1) * total // length
        return borders[:-1] + draw.randint(np.diff(borders))


class _Legacy:
    """A generator with the words of the older ones."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.randint, self.choice = rng.integers, rng.choice


@TRANSFORMS.register_module()
class PaddingWithLoop(Transform):
    """Take the first frames, and begin again where there are too few.

    Args:
        clip_len: Frames of a clip.
        num_clips: What is noted as the number of clips.
    """

    def __init__(self, clip_len: int, num_clips: int = 1) -> None:
        self.clip_len, self.num_clips = clip_len, num_clips

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Choose frames; nothing is drawn."""
        frames = np.arange(self.clip_len) % results['total_frames']
        results.update(frame_inds=frames, clip_len=self.clip_len, frame_interval=None, num_clips=self.num_clips)
        return results


@TRANSFORMS.register_module()
class PoseDecode(Transform):
    """Keep the frames that were chosen; all, if none were. ``keypoint`` and ``keypoint_score`` become float32."""

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Keep them; nothing is drawn."""
        if 'frame_inds' not in results:
            results['frame_inds'] = np.arange(results.get('total_frames', results['keypoint'].shape[1]))
        results['frame_inds'] = np.atleast_1d(np.squeeze(results['frame_inds']))
        frames = results['frame_inds'] + results.get('offset', 0)
        for key in ('keypoint', 'keypoint_score'):
            if key in results:
                results[key] = results[key][:, frames].astype(np.float32)
        return results


@TRANSFORMS.register_module()
class DropJoints(Transform):
    """Forget some joints of each frame: their coordinates and scores become 0.

    Args:
        share: How many of them.
        seed: Drop the same joints of a sample each time; None draws them anew.
    """

    def __init__(self, share: float, seed: int | None = None) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f'DropJoints: share={share} must lie in 0 ... 1')
        self.share, self.seed = share, seed

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Drop joints."""
        if self.seed is not None:
            rng = np.random.default_rng([self.seed, int(results.get('total_frames', 0)), int(results.get('number', 0))])
        kept_mtv = rng.random(results['keypoint'].shape[:-1]) >= self.share
        results['keypoint'] = results['keypoint'] * kept_mtv[..., None]
        if 'keypoint_score' in results:
            results['keypoint_score'] = results['keypoint_score'] * kept_mtv
        return results
