"""What moves between frames."""

from __future__ import annotations

import itertools

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Results, Transform


@TRANSFORMS.register_module()
class FrameDifference(Transform):
    """Replace each frame by its difference to the next, so that only what moves is seen.

    "Temporal Segment Networks" (Wang et al., 2016, arXiv:1608.00859) calls them RGB differences. They are uint8: 128 is
    no change, and half of the greatest changes is 127. Each clip has one frame less after it; sample one more.
    """

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Take differences within each clip; nothing is drawn.

        Raises:
            DataError: Clips have one frame.
        """
        length = results['clip_len']
        if length < 2:
            raise DataError('FrameDifference needs clips of two frames or more: set clip_len of the sampling')
        frames = results['imgs']
        found = []
        for start in range(0, len(frames), length):
            clip = frames[start : start + length]
            found += [_difference(before, after) for before, after in itertools.pairwise(clip)]
        results.update(imgs=found, clip_len=length - 1)
        return results


def _difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return ((after.astype(np.int16) - before) // 2 + 128).astype(np.uint8)
