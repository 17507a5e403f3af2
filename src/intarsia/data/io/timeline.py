"""Which packet of a video file is which frame, as far as the packets tell without being decoded."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timeline:
    """The timestamps of all frames, in the order in which they are shown.

    It exists only if packets tell without doubt which frame is which: each has a timestamp, no two are equal, and the
    first frame is a key frame, so that every frame after it can be decoded.

    Attributes:
        times: Increasing, one a frame.
        keys: Numbers of the key frames, increasing, from 0.
    """

    times: Sequence[int]
    keys: Sequence[int]

    @classmethod
    def of(cls, packets: Sequence[tuple[int | None, bool]]) -> Timeline | None:
        """The timeline of packets, or None if they leave a doubt.

        Args:
            packets: Timestamp, and whether it is a key frame, in the order of the file.
        """
        known = [(time, is_key) for time, is_key in packets if time is not None]
        ordered = sorted(known)
        times = [time for time, _ in ordered]
        if not times or len(known) < len(packets) or len(set(times)) < len(times) or not ordered[0][1]:
            return None
        return cls(times, [number for number, (_, is_key) in enumerate(ordered) if is_key])

    def is_steady(self) -> bool:
        """Whether the timestamps count the frames, one by one."""
        return self.times[-1] - self.times[0] == len(self.times) - 1

    def key_of(self, number: int) -> int:
        """The last key frame that is not after a frame; decoding may begin there."""
        return self.keys[max(bisect.bisect_right(self.keys, number) - 1, 0)]
