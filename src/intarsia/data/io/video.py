"""Video files to frames and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from intarsia.core.errors import BrokenFileError, DataError
from intarsia.data.io.video_backends import DECODERS, Backend
from intarsia.data.io.video_decoder import USUAL_FPS, Frame, Order

VIDEO_SUFFIXES = frozenset({'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg'})
"""Endings of files that are taken for videos."""


class VideoReader:
    """The frames of a video: in order, ``for frame in VideoReader(path)``, or by number, ``frames_at([0, 8, 16])``.

    Frames are counted as decoding from the start gives them; their values may differ between backends by a few grey
    levels. OpenCV and PyAV are exact for all files that are not damaged. torchcodec is not where H.264 has no real key
    frames, nor decord in files with open groups of pictures or B-frames of MPEG-4: they may give a neighbour. ``len()``
    is the number of packets in the file, not what the file says about itself: exact for all files but those whose end
    is broken, and cheap.

    Attributes:
        fps: Frames a second.

    Args:
        path: The file.
        backend: Which library decodes: ``'opencv'``, or of the extra ``video`` ``'pyav'`` (the fastest),
            ``'torchcodec'`` or ``'decord'``.
        channel_order: Of the frames.
        num_threads: Threads that decode; 0 leaves it to the library. Workers that load samples should take 1.

    Raises:
        BrokenFileError: The file is missing, or not a video.
        DataError: The backend is not installed.
    """

    def __init__(
        self, path: str | Path, backend: Backend = 'opencv', channel_order: Order = 'bgr', num_threads: int = 0
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise BrokenFileError(f'there is no video {path}')
        self._decoder = DECODERS[backend](str(path), channel_order, num_threads)
        self.fps = self._decoder.fps

    def __len__(self) -> int:
        return self._decoder.num_frames

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Frames, uint8 ``(H, W, 3)``.

        Raises:
            BrokenFileError: None can be decoded.
        """
        is_empty = True
        for frame in self._decoder.frames():
            yield frame
            is_empty = False
        if is_empty:
            raise self._decoder.broken()

    def frames_at(self, indices: Sequence[int] | NDArray[np.integer]) -> list[Frame]:
        """Frames by number, each uint8 ``(H, W, 3)``; a number that comes twice gives the same array twice.

        Of a file whose end is broken the last frame that can be decoded stands for those after it.

        Args:
            indices: From 0, in any order.

        Raises:
            BrokenFileError: No frame can be decoded.
            IndexError: There is no such frame.
        """
        numbers = np.asarray(indices, np.int64).reshape(-1)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self):
            asked = f'{numbers.min()} to {numbers.max()}'
            raise IndexError(f'{self.path} has the frames 0 to {len(self) - 1}, but {asked} are asked for')
        return self._frames_at(numbers)

    def key_of(self, index: int) -> int:
        """The key frame that a frame follows, where packets tell; else the frame itself."""
        return self._decoder.key_of(index)

    def set_threads(self, num_threads: int) -> None:
        """Decode with so many threads from now on; 0 leaves it to the library."""
        self._decoder.set_threads(num_threads)

    def _frames_at(self, numbers: NDArray[np.int64]) -> list[Frame]:
        distinct, places = np.unique(numbers, return_inverse=True)
        found = self._decoder.decode(distinct.tolist()) if distinct.size else []
        if len(found) < len(distinct):
            count = self._decoder.count()
            if count == 0:
                raise self._decoder.broken()
            return self._frames_at(np.minimum(numbers, count - 1))
        return [found[place] for place in places]


class VideoWriter:
    """Writes frames to an mp4 file, used as a context manager.

    The file gets its name when it is complete; a broken run leaves none.

    Args:
        path: The file.
        fps: Frames a second.
    """

    def __init__(self, path: str | Path, fps: float = USUAL_FPS) -> None:
        self.path, self.fps = Path(path), fps
        self._part = self.path.with_name(f'.{self.path.stem}.part.mp4')
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> VideoWriter:
        """Itself; the file is opened with the first frame."""
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add a frame, uint8 BGR ``(H, W, 3)``, all of one size.

        Raises:
            DataError: The file cannot be written.
        """
        if self._writer is None:
            size = (frame.shape[1], frame.shape[0])
            self._writer = cv2.VideoWriter(str(self._part), cv2.VideoWriter.fourcc(*'mp4v'), self.fps, size)
            if not self._writer.isOpened():
                raise DataError(f'{self.path} cannot be written')
        self._writer.write(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file and give it its name; after an error it is removed."""
        if self._writer is None:
            return
        self._writer.release()
        if kind is None:
            self._part.replace(self.path)
        else:
            self._part.unlink(missing_ok=True)


def in_batches(frames: Iterable[NDArray[np.uint8]], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    """Neighbouring frames, ``size`` at a time."""
    batch: list[NDArray[np.uint8]] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
