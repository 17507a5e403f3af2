"""Normalization of clips, in the pipeline or on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.device import DeviceNormalize
from intarsia.data.io.normalize import normalization_table, normalize
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.action.transforms.clip_transform import flow_pairs, is_flow

CHANNEL_AXES = {'NCHW': 2, 'NCHW_Flow': 2, 'NCTHW': 2, 'NPTCHW': 3}
"""Where channels are in a batch of samples that ``FormatShape`` has formatted."""


@TRANSFORMS.register_module()
class Normalize(Transform):
    """Subtract a mean from frames and divide them by a standard deviation, by channel; they become float32.

    Frames of flow become ``(H, W, 2)``. Sets ``img_norm_cfg`` to what was done.

    Args:
        mean: One number a channel, in the order of the result, or one for all; for flow of x and y.
        std: Likewise.
        to_bgr: Turn RGB into BGR first.
        adjust_magnitude: Multiply flow by ``scale_factor``, how much frames have been resized.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], to_bgr: bool = False, adjust_magnitude: bool = False
    ) -> None:
        self.mean, self.std = np.array(mean, np.float32), np.array(std, np.float32)
        if self.mean.shape != self.std.shape or self.mean.ndim != 1:
            raise ValueError(f'Normalize needs as many numbers in mean as in std, not {mean} and {std}')
        self.to_bgr = to_bgr
        self.adjust_magnitude = adjust_magnitude
        self._table = normalization_table(self.mean, self.std)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Normalize; nothing is drawn.

        Raises:
            DataError: The flow's magnitude is to be adjusted, but no step has set ``scale_factor``.
        """
        frames = flow_pairs(results['imgs'])
        times = frames[0][0, 0].size // len(self.mean) or 1
        mean, std, table = np.tile(self.mean, times), np.tile(self.std, times), np.tile(self._table, (times, 1))
        frames = [normalize(frame, mean, std, self.to_bgr, table) for frame in frames]
        done = {'mean': self.mean, 'std': self.std, 'to_bgr': self.to_bgr}
        if is_flow(results):
            done['adjust_magnitude'] = self.adjust_magnitude
            if self.adjust_magnitude:
                if 'scale_factor' not in results:
                    raise DataError('Normalize(adjust_magnitude=True) needs scale_factor, which Resize sets')
                frames = [frame * results['scale_factor'] for frame in frames]
        results.update(imgs=frames, img_norm_cfg=done)
        return results

    @staticmethod
    def on_device(
        mean: Sequence[float],
        std: Sequence[float],
        to_bgr: bool = False,
        adjust_magnitude: bool = False,
        after: Sequence[Mapping[str, Any]] = (),
    ) -> DeviceNormalize | None:
        """The same for a batch; None where samples are adjusted one by one, or ``after`` does not format their shape.

        Args:
            mean: As of the class.
            std: As of the class.
            to_bgr: As of the class.
            adjust_magnitude: As of the class.
            after: The steps that follow.
        """
        formats = [node for node in after if node['type'].rpartition('.')[2] == 'FormatShape']
        if adjust_magnitude or len(formats) != 1 or formats[0].get('input_format') not in CHANNEL_AXES:
            return None
        axis = CHANNEL_AXES[formats[0]['input_format']] - bool(formats[0].get('collapse'))
        return ClipNormalize(mean, std, to_bgr, axis)


class ClipNormalize(DeviceNormalize):
    """Normalises a batch of clips to the very numbers that ``Normalize`` gives.

    Channels may be those of several frames: ``mean`` and ``std`` are then repeated.

    Args:
        mean: Of every channel.
        std: The same.
        to_bgr: Reverse the order of three channels first.
        channel_axis: Which axis of a batch the channels are.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], to_bgr: bool, channel_axis: int) -> None:
        super().__init__(mean, std, to_bgr, 'imgs', channel_axis + 1)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """A batch of clips on any device -> float32 of the same shape.

        Raises:
            ValueError: ``mean`` cannot be repeated so often that each channel has a number.
        """
        axis, count = self.channel_axis - 1, len(self.table)
        if images.shape[axis] % count:
            raise ValueError(f'clips with {images.shape[axis]} channels cannot be normalized with {count} means')
        return super().__call__(images.unflatten(axis, (-1, count))).flatten(axis, axis + 1)
