"""The shape of a clip, as a config tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia.config.pipelines import image_shape, joined, pipeline_of


def clip_shape(values: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape of one sample of a recognizer in training: ``(M, C, H, W)``, or ``(M, C, T, H, W)``.

    Args:
        values: A whole config.

    Returns:
        None where the pipeline of ``data.train`` does not sample frames of images, or formats them otherwise.
    """
    steps = pipeline_of(joined((values.get('data') or {}).get('train')))
    sampling = next((step for step in steps if 'clip_len' in step), None)
    layout = next((step.get('input_format') for step in steps if step.get('type') == 'FormatShape'), None)
    if sampling is None or layout not in ('NCHW', 'NCTHW'):
        return None
    frames, clips = int(sampling['clip_len']), int(sampling.get('num_clips', 1))
    channels, height, width = image_shape(values)
    for step in steps:
        scale = step.get('scale')
        if step.get('type') == 'Resize' and not step.get('keep_ratio', True) and isinstance(scale, (list, tuple)):
            width, height = (int(side) for side in scale)
        elif isinstance(step.get('crop_size'), int):
            height = width = step['crop_size']
    image = (channels, height, width)
    return (frames * clips, *image) if layout == 'NCHW' else (clips, channels, frames, height, width)
