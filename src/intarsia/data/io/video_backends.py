"""Libraries that decode videos: OpenCV, and those of the extra ``video``."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.io.color import swap_red_blue
from intarsia.data.io.timeline import Timeline
from intarsia.data.io.video_decoder import USUAL_FPS, Decoder, Frame, Order
from intarsia.data.io.video_opencv import OpenCVDecoder

Backend = Literal['opencv', 'pyav', 'torchcodec', 'decord']

MODULES: Mapping[str, str] = {'opencv': 'cv2', 'pyav': 'av', 'torchcodec': 'torchcodec', 'decord': 'decord'}
"""What each backend is imported as."""


def is_installed(backend: str) -> bool:
    """Whether a backend can be imported."""
    return importlib.util.find_spec(MODULES[backend]) is not None


def import_backend(backend: str, part: str = '') -> Any:
    """The module of a backend, or a part of it.

    Raises:
        DataError: It is not installed.
    """
    try:
        return importlib.import_module(MODULES[backend] + part)
    except (ImportError, OSError, RuntimeError) as error:  # what lacks its own libraries fails in many ways
        install = "pip install 'intarsia[video]'"
        if backend != 'pyav':
            install = f"pip install {backend}; or take 'pyav': {install}"
        raise DataError(f'{backend} cannot be loaded to decode videos: {install}') from error


class PyAVDecoder(Decoder):
    """Decodes with PyAV, the fastest.

    It seeks to key frames, and leaves frames that are neither wanted nor needed by others undecoded (about half of
    those of H.264). Frames are told by their timestamps, and where these leave a doubt all are decoded.
    """

    SHOWS_ALL = frozenset({'h264', 'hevc', 'mpeg4', 'mpeg1video', 'mpeg2video', 'mjpeg', 'vp9', 'av1'})
    """Formats whose every packet is a frame that is shown."""
    INTRA = 1
    """What FFmpeg calls a picture that needs no other."""

    def __init__(self, path: str, order: Order, num_threads: int = 0) -> None:
        super().__init__(path, order, num_threads)
        self._av = import_backend('pyav')
        container = self._open()
        self._opened: Any | None = container  # the first time frames are decoded it is used again
        stream = container.streams.video[0]
        self.fps = float(stream.average_rate or USUAL_FPS)
        packets = [packet for packet in container.demux(stream) if packet.size]
        is_known = stream.codec_context.name in self.SHOWS_ALL and not any(p.is_discard for p in packets)
        if not packets:
            raise self.broken()
        self._timeline = Timeline.of([(p.pts, p.is_keyframe) for p in packets]) if is_known else None
        self.num_frames = len(packets)
        if self._timeline is None:
            self.count()

    def _open(self) -> Any:
        try:
            container = self._av.open(self.path)
            context = container.streams.video[0].codec_context
        except (self._av.FFmpegError, IndexError) as error:
            raise self.broken(error) from error
        if self.num_threads:
            context.thread_count = self.num_threads
        context.thread_type = 'SLICE' if self.num_threads == 1 else 'AUTO'
        return container

    def decode(self, wanted: Sequence[int]) -> list[Frame]:
        """Frames by number."""
        if self._timeline is None:
            return self._decode_from_start(wanted)
        times = [self._timeline.times[number] for number in wanted]
        container, self._opened = self._opened or self._open(), None
        with container:
            return [self._array(frame) for frame in self._at_times(container, self._timeline, wanted, times)]

    def set_threads(self, num_threads: int) -> None:
        """As for all decoders."""
        self.num_threads, self._opened = num_threads, None

    def _at_times(
        self, container: Any, timeline: Timeline, wanted: Sequence[int], times: Sequence[int]
    ) -> Iterator[Any]:
        """Frames with increasing timestamps, until one is missing."""
        stream, asked, i, key, is_new = container.streams.video[0], set(times), 0, -1, False
        packets = container.demux(stream)
        while i < len(times):
            begin = timeline.key_of(wanted[i])
            if begin > key:
                container.seek(timeline.times[begin], stream=stream)
                packets, key, is_new = container.demux(stream), begin, True
            for frame in self._decoded(packets, stream.codec_context, asked):
                if is_new and frame.pts >= timeline.times[key]:
                    if frame.pts > timeline.times[key] or int(frame.pict_type) != self.INTRA:
                        return  # no place to begin at
                    is_new = False
                if frame.pts == times[i]:
                    yield frame
                    i += 1
                    if i == len(times) or timeline.key_of(wanted[i]) > key:
                        break
            else:
                return

    def _decoded(self, packets: Iterator[Any], context: Any, asked: set[int] | None = None) -> Iterator[Any]:
        """Frames of packets; with ``asked`` only those with such timestamps are sure to be among them."""
        for packet in packets:
            if asked is not None:
                context.skip_frame = 'DEFAULT' if not packet.size or packet.pts in asked else 'NONREF'
            try:
                frames = packet.decode()
            except self._av.FFmpegError:
                continue  # a packet that is broken; what needs it is missing
            yield from frames

    def _decode_from_start(self, wanted: Sequence[int]) -> list[Frame]:
        asked, last = set(wanted), wanted[-1]
        found = []
        for number, frame in enumerate(self._all()):
            if number in asked:
                found.append(self._array(frame))
            if number == last:
                break
        return found

    def _all(self) -> Iterator[Any]:
        with self._open() as container:
            stream = container.streams.video[0]
            yield from self._decoded(container.demux(stream), stream.codec_context)

    def _array(self, frame: Any) -> Frame:
        """A frame as it is to be looked at, turned upright if the file says so."""
        array = frame.to_ndarray(format=f'{self.order}24')
        quarters = round(getattr(frame, 'rotation', 0) / 90) % 4
        return np.ascontiguousarray(np.rot90(array, quarters)) if quarters else array

    def frames(self) -> Iterator[Frame]:
        """All frames in order."""
        return map(self._array, self._all())


class TorchcodecDecoder(Decoder):
    """Decodes with torchcodec, which needs FFmpeg's libraries on the machine. It reads all packets first."""

    def __init__(self, path: str, order: Order, num_threads: int = 0) -> None:
        super().__init__(path, order, num_threads)
        kind = import_backend('torchcodec', '.decoders').VideoDecoder
        try:
            self._decoder = kind(path, dimension_order='NHWC', num_ffmpeg_threads=num_threads, seek_mode='exact')
        except (RuntimeError, ValueError) as error:
            raise self.broken(error) from error
        self.fps = float(self._decoder.metadata.average_fps or USUAL_FPS)
        self.num_frames = len(self._decoder)

    def decode(self, wanted: Sequence[int]) -> list[Frame]:
        """Frames by number."""
        try:
            frames_nhwc = self._decoder.get_frames_at(indices=list(wanted)).data.numpy()
        except (RuntimeError, IndexError) as error:
            raise self.broken(error) from error
        return [swap_red_blue(frame) if self.order == 'bgr' else frame for frame in frames_nhwc]


class DecordDecoder(Decoder):
    """Decodes with decord. It reads all packets first, and seeks to key frames."""

    def __init__(self, path: str, order: Order, num_threads: int = 0) -> None:
        super().__init__(path, order, num_threads)
        decord = import_backend('decord')
        self._error: type[Exception] = decord.DECORDError
        try:
            self._reader = decord.VideoReader(path, num_threads=num_threads)
        except (self._error, RuntimeError) as error:
            raise self.broken() from error
        self.fps = float(self._reader.get_avg_fps() or USUAL_FPS)
        self.num_frames = len(self._reader)

    def decode(self, wanted: Sequence[int]) -> list[Frame]:
        """Frames by number."""
        try:
            frames_nhwc = self._reader.get_batch(list(wanted)).asnumpy()
        except (self._error, RuntimeError, IndexError) as error:
            raise self.broken() from error
        return [swap_red_blue(frame) if self.order == 'bgr' else frame for frame in frames_nhwc]


DECODERS: Mapping[str, Callable[[str, Order, int], Decoder]] = {
    'opencv': OpenCVDecoder,
    'pyav': PyAVDecoder,
    'torchcodec': TorchcodecDecoder,
    'decord': DecordDecoder,
}
