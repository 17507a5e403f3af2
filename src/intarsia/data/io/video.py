"""Video files to frames and back, with OpenCV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from intarsia.core.errors import DataError

VIDEO_SUFFIXES = frozenset({'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg'})
"""Endings of files that are taken for videos."""

USUAL_FPS = 25.0
"""Frames a second of a file that does not say."""


class VideoReader:
    """The frames of a video, in order: ``for frame in VideoReader(path)``.

    Attributes:
        fps: Frames a second.

    Args:
        path: The file.

    Raises:
        DataError: The file is missing, or holds no frame that can be decoded.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f'there is no video {path}')
        capture = cv2.VideoCapture(str(path))
        is_readable = capture.isOpened() and capture.grab()
        self.fps = float(capture.get(cv2.CAP_PROP_FPS)) or USUAL_FPS
        capture.release()
        if not is_readable:
            raise DataError(f'{path} cannot be decoded: it is broken, or not a video')

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Frames, uint8 BGR ``(H, W, 3)``."""
        capture = cv2.VideoCapture(str(self.path))
        try:
            while True:
                was_read, frame = capture.read()
                if not was_read:
                    return
                yield np.asarray(frame, np.uint8)
        finally:
            capture.release()


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
