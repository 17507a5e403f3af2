"""Decoding videos with OpenCV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from intarsia.data.io.color import swap_red_blue
from intarsia.data.io.timeline import Timeline
from intarsia.data.io.video_decoder import USUAL_FPS, Decoder, Frame, Order


class OpenCVDecoder(Decoder):
    """Decodes with OpenCV.

    The packets are read once without being decoded, which takes a hundredth of the time, to count the frames and to
    know the key frames. Frames that are not wanted are decoded without being converted. Seeking is only done where it
    saves decoding and the timestamps count the frames; a frame reached so must have the timestamp that it should
    have, else everything is decoded from the start.
    """

    MARGIN = 16
    """OpenCV seeks to the key frame that is at least so many frames before the one it is asked for."""
    TIME = getattr(cv2, 'CAP_PROP_PTS', None)
    """The property with the timestamp; OpenCV has it from 4.11 on. Without it there is no seeking."""
    HIDES_FRAMES = ('vp80',)
    """Formats with packets that are not shown, so that packets do not count the frames."""
    ALWAYS_FRESH = ('fmp4', 'mp4v', 'xvid', 'divx', 'mjpg', 'hevc', 'vp90', 'av01')
    """Formats whose key frames forget all that was before them."""
    FRESH = re.compile(rb'\x00\x00\x01[\x05\x25\x45\x65]')
    """In H.264 only key frames with such bytes do."""

    def __init__(self, path: str, order: Order, num_threads: int = 0) -> None:
        super().__init__(path, order, num_threads)
        capture = self._open(cv2.CAP_PROP_FORMAT, -1)
        if not capture.isOpened():
            raise self.broken()
        self.fps = float(capture.get(cv2.CAP_PROP_FPS)) or USUAL_FPS
        code = (int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF).to_bytes(4, 'little').decode('latin1').lower()
        timeline, self.num_frames = self._read_packets(capture, code in self.ALWAYS_FRESH)
        capture.release()
        if not self.num_frames:
            raise self.broken()
        self._timeline = timeline if timeline is not None and timeline.is_steady() else None
        if code in self.HIDES_FRAMES:
            self.count()

    def _read_packets(self, capture: cv2.VideoCapture, always_fresh: bool) -> tuple[Timeline | None, int]:
        """The timeline, if one may seek, and the number of packets."""
        packets, is_fresh = [], True
        while capture.grab():
            time = None if self.TIME is None else int(capture.get(self.TIME))
            is_key = capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME) != 0
            packets.append((time, is_key))
            if is_key and is_fresh and not always_fresh:
                content = np.ascontiguousarray(capture.retrieve()[1])
                is_fresh = self.FRESH.search(content.data) is not None
        return (Timeline.of(packets) if is_fresh else None), len(packets)

    def _open(self, *options: int) -> cv2.VideoCapture:
        threads = (cv2.CAP_PROP_N_THREADS, self.num_threads) if self.num_threads else ()
        return cv2.VideoCapture(self.path, cv2.CAP_FFMPEG, [*threads, *options])

    def decode(self, wanted: Sequence[int]) -> list[Frame]:
        """Frames by number."""
        capture, found, at = self._open(), [], -1
        try:
            for number in wanted:
                if self._is_far(number, at):
                    if not self._has_reached(capture, number):
                        self._timeline = None
                        return self.decode(wanted)
                    at = number
                while at < number and capture.grab():
                    at += 1
                if at < number:
                    break
                was_read, frame = capture.retrieve()
                if not was_read:
                    break
                found.append(self._ordered(frame))
        finally:
            capture.release()
        return found

    def _is_far(self, number: int, at: int) -> bool:
        """Whether seeking saves decoding, on the way from one frame to another."""
        return self._timeline is not None and self._timeline.key_of(max(number - self.MARGIN, 0)) > at + 2

    def _has_reached(self, capture: cv2.VideoCapture, number: int) -> bool:
        """Seek to a frame, and say whether it is the right one."""
        assert self._timeline is not None
        assert self.TIME is not None
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        return capture.grab() and int(capture.get(self.TIME)) == self._timeline.times[number]

    def _ordered(self, frame: Any) -> Frame:
        return swap_red_blue(frame) if self.order == 'rgb' else frame

    def frames(self) -> Iterator[Frame]:
        """All frames in order."""
        capture = self._open()
        try:
            while True:
                was_read, frame = capture.read()
                if not was_read:
                    return
                yield self._ordered(frame)
        finally:
            capture.release()
