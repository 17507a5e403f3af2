"""Pictures of actions: a video with its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from intarsia.data.io.caption import write_below
from intarsia.data.io.video import VideoReader, VideoWriter


def caption(frame: np.ndarray, result: Any) -> np.ndarray:
    """A frame with the best class below it: uint8 BGR in and out."""
    (name, score), *_ = result.top(1)
    picture = write_below(frame, f'{name} {score:.2f}')
    height, width = picture.shape[:2]
    return picture[: height - height % 2, : width - width % 2]  # codecs of videos want even sizes


def caption_video(file: Path, result: Any, output: Path) -> None:
    """Write a video whose frames show the answer.

    Args:
        file: The video.
        result: What was recognized.
        output: The new video, mp4.
    """
    reader = VideoReader(file)
    with VideoWriter(output, reader.fps) as writer:
        for frame in reader:
            writer.write(caption(frame, result))
