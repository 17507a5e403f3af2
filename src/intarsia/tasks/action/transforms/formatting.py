"""The last steps of an action pipeline: frames to one array.

Shapes: m clips (crops of them included), c channels, t frames of a clip, h rows, w columns, k joints, p proposals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import cv2
import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array, require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.action.transforms.clip_transform import flow_pairs

Format = Literal['NCTHW', 'NCHW', 'NCHW_Flow', 'NCTHW_Heatmap', 'NPTCHW']


@TRANSFORMS.register_module()
class FormatShape(Transform):
    """Make one array of the frames of a sample, with channels before rows. Sets ``input_shape``.

    Args:
        input_format: ``'NCHW'``: frames ``(M * T, C, H, W)``, for 2D networks. ``'NCTHW'``: clips ``(M, C, T, H, W)``,
            for 3D networks; heat maps of joints beside the frames (``heatmap_imgs``) too. ``'NCHW_Flow'``: the flow
            of a clip's frames as channels, ``(M, T * 2, H, W)``. ``'NCTHW_Heatmap'``, and ``'NCTHW'`` where the
            ``modality`` is ``'Pose'``: heat maps ``(T, K, H, W)`` of all clips as ``(M, K, T, H, W)``. ``'NPTCHW'``:
            frames of proposals, ``(P, M * T, C, H, W)``.
        collapse: Leave out the first axis, which must be 1.
    """

    keeps_pixels = True

    def __init__(self, input_format: Format, collapse: bool = False) -> None:
        self.input_format: Format = require_choice('input_format', input_format, self.FORMATS)
        self.collapse = collapse

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Format; nothing is drawn.

        Raises:
            DataError: ``collapse``, but there are several clips; or the clips have different numbers of frames.
        """
        imgs = self.FORMATS[self.input_format](self, results)
        if 'heatmap_imgs' in results and self.input_format == 'NCTHW':
            maps = self._clips_of_maps(results, 'heatmap_imgs')
            results.update(heatmap_imgs=maps, heatmap_input_shape=maps.shape)
        if self.collapse:
            if len(imgs) != 1:
                raise DataError(f'FormatShape(collapse=True) leaves out the first axis, but it is {len(imgs)}, not 1')
            imgs = imgs[0]
        results.update(imgs=imgs, input_shape=imgs.shape)
        return results

    def _frames(self, results: Results) -> Array:
        frames = flow_pairs(results['imgs'])
        out_mchw = np.empty((len(frames), *_planes_shape(frames[0])), frames[0].dtype)
        for frame, out_chw in zip(frames, out_mchw, strict=True):
            _split(frame, out_chw)
        return out_mchw

    def _clips(self, results: Results) -> Array:
        if results.get('modality') == 'Pose':
            return self._clips_of_maps(results)
        frames = flow_pairs(results['imgs'])
        length = _length(results, 'RGB', len(frames))
        channels, *size = _planes_shape(frames[0])
        out_mcthw = np.empty((len(frames) // length, channels, length, *size), frames[0].dtype)
        for number, frame in enumerate(frames):
            clip, place = divmod(number, length)
            _split(frame, out_mcthw[clip, :, place])
        return out_mcthw

    def _flow(self, results: Results) -> Array:
        frames_mchw = self._frames(results)
        length = _length(results, 'Flow', len(frames_mchw))
        return frames_mchw.reshape(-1, length * frames_mchw.shape[1], *frames_mchw.shape[2:])

    def _proposals(self, results: Results) -> Array:
        frames_mchw = self._frames(results)
        return frames_mchw.reshape(results['num_proposals'], -1, *frames_mchw.shape[1:])

    def _clips_of_maps(self, results: Results, key: str = 'imgs') -> Array:
        maps_tkhw = np.asarray(results[key])
        length = _length(results, 'Pose', len(maps_tkhw))
        return maps_tkhw.reshape(-1, length, *maps_tkhw.shape[1:]).swapaxes(1, 2)

    FORMATS: ClassVar[Mapping[str, Callable[..., Array]]] = {
        'NCHW': _frames,
        'NCTHW': _clips,
        'NCHW_Flow': _flow,
        'NCTHW_Heatmap': _clips_of_maps,
        'NPTCHW': _proposals,
    }


def _length(results: Results, modality: str, count: int) -> int:
    """T, for each modality in case they differ; ``count`` frames are to be divided into clips of it."""
    clip_len = results['clip_len']
    length = int(clip_len[modality] if isinstance(clip_len, Mapping) else clip_len)
    if count % length:
        raise DataError(f'{count} frames are not clips of {length}: does a step change the number of frames?')
    return length


def _planes_shape(frame: Array) -> tuple[int, ...]:
    """``(C, H, W)`` of a frame."""
    return (1 if frame.ndim == 2 else frame.shape[2], *frame.shape[:2])


def _split(frame: Array, out_chw: Any) -> None:
    """Write a frame ``(H, W[, C])`` into planes, each of which is contiguous."""
    planes_chw = np.atleast_3d(frame).transpose(2, 0, 1)
    if planes_chw.flags.c_contiguous:
        out_chw[:] = planes_chw
    else:
        cv2.split(frame, list(out_chw))
