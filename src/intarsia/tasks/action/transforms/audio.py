"""Features of sound: spectrograms that were computed before, cut to the clips that were sampled.

Shapes: s steps of time, f frequencies, m clips.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.data.transforms.transform import Results, Transform


@TRANSFORMS.register_module()
class LoadAudioFeature(Transform):
    """Read the spectrogram ``(S, F)`` of a video from ``audio_path``, a file of NumPy, to ``audios``.

    Sets ``length``, its S. A video without sound has no file: it gets a spectrogram of ten seconds.

    Args:
        pad_method: What that one holds: ``'zero'``, or ``'random'`` for noise of 0 ... 1.
    """

    SILENCE = (640, 80)
    """Its shape."""

    def __init__(self, pad_method: Literal['zero', 'random'] = 'zero') -> None:
        self.pad_method = require_choice('pad_method', pad_method, ('zero', 'random'))

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Read, or draw the noise."""
        if Path(results['audio_path']).exists():
            audio_sf = np.load(results['audio_path'])
        elif self.pad_method == 'zero':
            audio_sf = np.zeros(self.SILENCE, np.float32)
        else:
            audio_sf = rng.random(self.SILENCE, np.float32)
        results.update(audios=audio_sf, length=len(audio_sf))
        return results


@TRANSFORMS.register_module()
class AudioFeatureSelector(Transform):
    """Cut the parts of a spectrogram that belong to the sampled clips: ``audios`` becomes ``(M, fixed_length, F)``.

    Its ``length`` in steps is that of ``total_frames`` frames. Sets ``audios_shape``.

    Args:
        fixed_length: Steps of each part: longer ones are cut off, shorter ones filled up with 0.
    """

    def __init__(self, fixed_length: int = 128) -> None:
        if fixed_length < 1:
            raise ValueError(f'AudioFeatureSelector needs a positive fixed_length, not {fixed_length}')
        self.fixed_length = fixed_length

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Cut; nothing is drawn."""
        audio_sf, length = results['audios'], results['length']
        clips = np.reshape(results['frame_inds'], (results['num_clips'], -1))
        parts = np.zeros((len(clips), self.fixed_length, audio_sf.shape[1]), audio_sf.dtype)
        for part, frames in zip(parts, clips, strict=True):
            first, last = ((int(frames[end]) + 1) / results['total_frames'] for end in (0, -1))
            cut = audio_sf[max(0, round(first * length)) : round(last * length)][: self.fixed_length]
            part[: len(cut)] = cut
        results.update(audios=parts, audios_shape=parts.shape)
        return results


@TRANSFORMS.register_module()
class FormatAudioShape(Transform):
    """Give parts of a spectrogram ``(M, S, F)`` an axis of channels: ``(M, 1, S, F)``. Sets ``input_shape``.

    Args:
        input_format: ``'NCTF'``.
    """

    def __init__(self, input_format: Literal['NCTF']) -> None:
        self.input_format = require_choice('input_format', input_format, ('NCTF',))

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Reshape; nothing is drawn."""
        results['audios'] = results['audios'][:, None]
        results['input_shape'] = results['audios'].shape
        return results
