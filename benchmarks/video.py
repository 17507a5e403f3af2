"""Clips for training, compared with mmaction2 1.x: from video files to batches that a network can take.

Both toolboxes read the same files, and each runs in a process of its own; they take turns, see ``pose.py``. A case is
an epoch over 16 videos of 300 frames of 340x256: open, choose frames, decode them, resize, crop, mirror, format,
batches of 8, normalized; one process and one thread. mmaction2 decodes with decord, as its configs say. As draws
differ, what is compared is the same pipeline with all of them switched off: how many frames, and their mean values,
which decoders do not give exactly alike.

    python benchmarks/video.py --reference-python OLD/bin/python [--out benchmarks/results/video.json]

Files are written with PyAV (``pip install 'intarsia[video]'``), in the formats that data sets come in:

- h264: x264's usual settings, a key frame every 250 frames or where scenes change, B-frames.
- h264, short GOP: a key frame every 32 frames, as data sets are often encoded again.
- mpeg4: a key frame every 12 frames, no B-frames.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from alternate import Request
from compare import compare

from intarsia.data.io.video import VideoReader

CLIPS = Path(__file__).parents[1] / 'data/actions/videos/val'
NUM_VIDEOS, NUM_FRAMES, WIDTH, HEIGHT = 16, 300, 340, 256
NOISE = 3
"""Grey levels that a camera adds."""
FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    'h264': ('libx264', {'crf': '23'}),
    'h264_short': ('libx264', {'crf': '23', 'g': '32'}),
    'mpeg4': ('mpeg4', {'b': '800k', 'g': '12'}),
}
RECIPES: dict[str, dict[str, Any]] = {
    'tsn': dict(sample=dict(clip_len=1, frame_interval=1, num_clips=8), layout='NCHW'),
    'slowonly': dict(sample=dict(clip_len=8, frame_interval=8, num_clips=1), layout='NCTHW'),
}
"""What differs between the pipelines of TSN with 8 segments and SlowOnly 8x8."""

CASES: dict[str, Request] = {
    f'{recipe}, {kind}, {backend}': ('epoch', recipe, kind, backend)
    for backend in ('pyav', 'opencv')
    for kind in FORMATS
    for recipe in RECIPES
}


def moving_pictures(seed: int) -> Iterator[np.ndarray]:
    """Frames, uint8 BGR: two clips of ``data/actions``, enlarged, each played forth and back, with a little noise."""
    rng = np.random.default_rng(seed)
    files = sorted(CLIPS.glob('*.mp4'))
    for number in rng.choice(len(files), 2, replace=False):
        small = list(VideoReader(files[number]))
        enlarged = [cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for frame in small]
        for frame in itertools.islice(itertools.cycle(enlarged + enlarged[::-1]), NUM_FRAMES // 2):
            noisy = frame.astype(np.int16) + rng.integers(-NOISE, NOISE + 1, frame.shape)
            yield np.clip(noisy, 0, 255).astype(np.uint8)


def write_video(path: Path, codec: str, options: dict[str, str], seed: int) -> None:
    """Encode moving pictures."""
    import av

    with av.open(str(path), 'w') as container:
        stream: Any = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, 'yuv420p'
        for frame in moving_pictures(seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='bgr24')))
        container.mux(stream.encode())


def write_inputs(folder: Path) -> None:
    """What both sides read: videos, lists of them, recipes."""
    for kind, (codec, options) in FORMATS.items():
        names = [f'{kind}_{number}.mp4' for number in range(NUM_VIDEOS)]
        for seed, name in enumerate(names):
            write_video(folder / name, codec, options, seed)
        (folder / f'{kind}.txt').write_text(''.join(f'{name} {i % 5}\n' for i, name in enumerate(names)))
    (folder / 'recipes.json').write_text(json.dumps(RECIPES))


if __name__ == '__main__':
    packages = ('torch', 'numpy', 'opencv-python-headless', 'decord', 'mmcv-lite', 'mmaction2')
    compare(__doc__ or '', 'video', 'mmaction', packages, write_inputs, CASES, {'epoch': 7})
