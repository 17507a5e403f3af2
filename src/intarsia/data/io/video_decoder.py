"""What decodes a video: single frames by number, exactly those of decoding from the start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from intarsia.core.errors import BrokenFileError
from intarsia.data.io.timeline import Timeline

Frame = NDArray[np.uint8]
Order = Literal['bgr', 'rgb']

USUAL_FPS = 25.0
"""Frames a second of a file that does not say."""


class Decoder:
    """Decodes one file.

    Args:
        path: The file.
        order: Of colours.
        num_threads: Threads that decode; 0 leaves it to the library.

    Attributes:
        fps: Frames a second.
        num_frames: Frames that the file says it has.

    Raises:
        BrokenFileError: The file is not a video.
        DataError: The library is not installed.
    """

    BATCH: ClassVar[int] = 16
    fps: float
    num_frames: int

    def __init__(self, path: str, order: Order, num_threads: int = 0) -> None:
        self.path, self.order, self.num_threads = path, order, num_threads
        self._timeline: Timeline | None = None

    def decode(self, wanted: Sequence[int]) -> list[Frame]:
        """Frames by number, which increase; fewer than wanted if some cannot be decoded."""
        raise NotImplementedError(f'{type(self).__name__} has no decode')

    def key_of(self, number: int) -> int:
        """The key frame that a frame follows; the frame itself where that is not known."""
        return number if self._timeline is None else self._timeline.key_of(number)

    def set_threads(self, num_threads: int) -> None:
        """Decode with so many threads from now on; 0 leaves it to the library."""
        self.num_threads = num_threads

    def frames(self) -> Iterator[Frame]:
        """All frames in order."""
        for start in range(0, self.num_frames, self.BATCH):
            yield from self.decode(range(start, min(start + self.BATCH, self.num_frames)))

    def count(self) -> int:
        """Decode everything to see how many frames there are; from then on decoding begins at the start."""
        self._timeline = None
        self.num_frames = sum(1 for _ in self.frames())
        return self.num_frames

    def broken(self, cause: object = None) -> BrokenFileError:
        """The error that the file cannot be decoded."""
        why = f' ({cause})' if cause else ''
        return BrokenFileError(f'{self.path} cannot be decoded: it is broken, or not a video{why}')
