"""Steps that open a video and decode the frames of its clips.

``XInit`` opens the file and counts its frames, a sampler chooses some, ``XDecode`` decodes them. Whatever the name
says, frames are exactly those that decoding from the start gives; libraries differ in speed, hardly in values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.video import VideoReader
from intarsia.data.io.video_backends import MODULES, Backend, is_installed
from intarsia.data.io.video_decoder import Frame
from intarsia.data.transforms.image_transform import require_choice
from intarsia.data.transforms.transform import Results, Transform

Mode = Literal['accurate', 'efficient']
Disk = Literal['disk', 'local']

USUAL_SUFFIX = '.mp4'
"""Of file names without one."""


def fastest_backend() -> Backend:
    """PyAV where it is installed, else OpenCV; both are exact, and give equal frames."""
    return 'pyav' if is_installed('pyav') else 'opencv'


class VideoInit(Transform):
    """Open the video ``filename``. Sets ``video_reader``, ``total_frames`` and ``avg_fps``.

    Args:
        backend: Which library decodes.
        io_backend: ``'disk'``; videos are read from disk.
        num_threads: Threads that decode one video; 0 leaves it to the library.
    """

    def __init__(self, backend: Backend, io_backend: Disk = 'disk', num_threads: int = 1) -> None:
        self.backend: Backend = require_choice('backend', backend, MODULES)
        require_choice('io_backend', io_backend, ('disk', 'local'))
        self.num_threads = num_threads

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Open; nothing is drawn.

        Raises:
            BrokenFileError: The file is missing, or not a video.
        """
        file = Path(results['filename'])
        path = file if file.suffix else file.with_suffix(USUAL_SUFFIX)
        reader = VideoReader(path, self.backend, 'rgb', self.num_threads)
        results.update(video_reader=reader, total_frames=len(reader), avg_fps=reader.fps)
        return results


class VideoDecode(Transform):
    """Decode the frames ``frame_inds`` of the open video. Sets ``imgs``, uint8 RGB, and their shape.

    A frame that is asked for twice is one array twice.

    Args:
        mode: ``'accurate'``: the frames. ``'efficient'``: the key frame that each follows, which is faster and not
            exact.
        multi_thread: Let the library choose how many threads decode.
    """

    def __init__(self, mode: Mode = 'accurate', multi_thread: bool = False) -> None:
        self.mode: Mode = require_choice('mode', mode, ('accurate', 'efficient'))
        self.multi_thread = multi_thread

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Decode; nothing is drawn.

        Raises:
            BrokenFileError: No frame can be decoded.
        """
        reader: VideoReader = results.pop('video_reader')
        if self.multi_thread:
            reader.set_threads(0)
        numbers = np.reshape(results['frame_inds'], -1)
        if self.mode == 'efficient':
            numbers = np.array([reader.key_of(int(number)) for number in numbers])
        return take_frames(results, reader.frames_at(numbers))


def take_frames(results: Results, frames: Sequence[Frame]) -> Results:
    """Note frames that were loaded: ``imgs``, ``img_shape`` and ``original_shape``.

    Boxes of people (``gt_bboxes`` and ``proposals``), which samples have as parts of width and height, become pixels.
    """
    height, width = frames[0].shape[:2]
    results.update(imgs=list(frames), img_shape=(height, width), original_shape=(height, width))
    for key in ('gt_bboxes', 'proposals'):
        if results.get(key) is not None and 'gt_bboxes' in results:
            results[key] = (results[key] * np.array([width, height, width, height])).astype(np.float32)
    return results


@TRANSFORMS.register_module()
class OpenCVInit(VideoInit):
    """Open a video with OpenCV; see :class:`VideoInit`."""

    def __init__(self, io_backend: Disk = 'disk', num_threads: int = 1) -> None:
        super().__init__('opencv', io_backend, num_threads)


@TRANSFORMS.register_module()
class OpenCVDecode(VideoDecode):
    """Decode frames; see :class:`VideoDecode`."""

    def __init__(self) -> None:
        super().__init__()


@TRANSFORMS.register_module()
class DecordInit(VideoInit):
    """Open a video with the fastest exact library that is installed; see :class:`VideoInit`.

    Decord itself is not exact for all files, and slower than PyAV, so it is used only if ``backend`` says so.

    Args:
        io_backend: ``'disk'``.
        num_threads: Threads that decode one video; 0 leaves it to the library.
        backend: ``'opencv'``, ``'pyav'``, ``'torchcodec'`` or ``'decord'``; None is PyAV, or OpenCV where there is no
            PyAV.
    """

    def __init__(self, io_backend: Disk = 'disk', num_threads: int = 1, backend: Backend | None = None) -> None:
        super().__init__(backend or fastest_backend(), io_backend, num_threads)


@TRANSFORMS.register_module()
class DecordDecode(VideoDecode):
    """Decode frames; see :class:`VideoDecode`.

    Args:
        mode: ``'accurate'`` or ``'efficient'``.
    """

    def __init__(self, mode: Mode = 'accurate') -> None:
        super().__init__(mode)


@TRANSFORMS.register_module()
class PyAVInit(VideoInit):
    """Open a video with PyAV, of the extra ``video``; see :class:`VideoInit`."""

    def __init__(self, io_backend: Disk = 'disk', num_threads: int = 1) -> None:
        super().__init__('pyav', io_backend, num_threads)


@TRANSFORMS.register_module()
class PyAVDecode(VideoDecode):
    """Decode frames; see :class:`VideoDecode`.

    Args:
        multi_thread: Let the library choose how many threads decode.
        mode: ``'accurate'`` or ``'efficient'``.
    """

    def __init__(self, multi_thread: bool = False, mode: Mode = 'accurate') -> None:
        super().__init__(mode, multi_thread)


@TRANSFORMS.register_module()
class PIMSInit(VideoInit):
    """Open a video with the fastest exact library that is installed; PIMS itself is not used. See :class:`VideoInit`.

    Args:
        io_backend: ``'disk'``.
        mode: ``'accurate'`` or ``'efficient'``; frames are exact with both.
    """

    def __init__(self, io_backend: Disk = 'disk', mode: Mode = 'accurate') -> None:
        super().__init__(fastest_backend(), io_backend)
        require_choice('mode', mode, ('accurate', 'efficient'))


@TRANSFORMS.register_module()
class PIMSDecode(VideoDecode):
    """Decode frames; see :class:`VideoDecode`."""

    def __init__(self) -> None:
        super().__init__()
