"""Steps that load frames which are no video any more: image files, arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from intarsia.core.errors import BrokenFileError, DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.image import read_image
from intarsia.data.transforms.image_transform import Array, require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.action.transforms.decoding import Disk, take_frames

Library = Literal['cv2', 'turbojpeg', 'pillow']
LIBRARIES: Mapping[str, Any] = {'cv2': 'cv2', 'turbojpeg': 'cv2', 'pillow': 'pillow'}
"""What decodes; OpenCV reads JPEG with the library that turbojpeg wraps."""


class ImageFiles(Transform):
    """Reads image files.

    Args:
        io_backend: ``'disk'``.
        decoding_backend: Which library decodes, ``'cv2'`` or ``'pillow'``; ``'turbojpeg'`` means the first.
    """

    def __init__(self, io_backend: Disk = 'disk', decoding_backend: Library = 'cv2') -> None:
        require_choice('io_backend', io_backend, ('disk', 'local'))
        self.decoding_backend: Library = require_choice('decoding_backend', decoding_backend, LIBRARIES)

    def read(self, path: str, is_flow: bool = False) -> Array:
        """An image, ``(H, W, 3)`` RGB, or for flow ``(H, W)``.

        Raises:
            BrokenFileError: The file is missing or broken.
        """
        library = LIBRARIES[self.decoding_backend]
        try:
            return read_image(path, 'grayscale' if is_flow else 'color', 'rgb', library)
        except DataError as error:
            raise BrokenFileError(str(error)) from error


@TRANSFORMS.register_module()
class RawFrameDecode(ImageFiles):
    """Read the frames ``frame_inds`` of a clip, which are files in the folder ``frame_dir``.

    Their names are ``filename_tmpl.format(number)``, for flow ``filename_tmpl.format('x', number)`` and ``'y'``, where
    the number is moved by ``offset``. Sets ``imgs`` (RGB frames; of flow, x and y in turns) and their shape. A frame
    that is asked for twice is read once.

    Args:
        io_backend: ``'disk'``.
        decoding_backend: See :class:`ImageFiles`.
    """

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Read; nothing is drawn.

        Raises:
            BrokenFileError: A file is missing or broken.
        """
        axes = axes_of(results)
        offset = results.get('offset', 0)
        known: dict[int, list[Array]] = {}
        frames: list[Array] = []
        for number in np.reshape(results['frame_inds'], -1).tolist():
            if number not in known:
                names = [results['filename_tmpl'].format(*axis, number + offset) for axis in axes]
                paths = [os.path.join(results['frame_dir'], name) for name in names]
                known[number] = [self.read(path, is_flow=axes is FLOW) for path in paths]
            frames += known[number]
        return take_frames(results, frames)


FLOW = (('x',), ('y',))
"""What is in the names of the files of a frame, beside its number."""


def axes_of(results: Results) -> tuple[tuple[str, ...], ...]:
    """Images that make a frame: those of optical flow are x and y, others one.

    Raises:
        DataError: The modality has no frames.
    """
    modality = results.get('modality', 'RGB')
    if modality not in ('RGB', 'Flow'):
        raise DataError(f"frames are of the modality 'RGB' or 'Flow', not {modality!r}")
    return FLOW if modality == 'Flow' else ((),)


@TRANSFORMS.register_module()
class ArrayDecode(Transform):
    """Take the frames ``frame_inds``, moved by ``offset``, of an ``array`` ``(T, H, W, C)``; flow has two channels."""

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Take them; nothing is drawn."""
        numbers = np.reshape(results['frame_inds'], -1) + results.get('offset', 0)
        frames = [results['array'][number] for number in numbers]
        if axes_of(results) is FLOW:
            frames = [frame[..., axis] for frame in frames for axis in (0, 1)]
        return take_frames(results, frames)


@TRANSFORMS.register_module()
class ImageDecode(ImageFiles):
    """Read the image ``filename``, which becomes the only frame.

    Args:
        io_backend: ``'disk'``.
        decoding_backend: See :class:`ImageFiles`.
    """

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Read; nothing is drawn.

        Raises:
            BrokenFileError: The file is missing or broken.
        """
        return take_frames(results, [self.read(results['filename'])])


@TRANSFORMS.register_module()
class BuildPseudoClip(Transform):
    """Make a clip of one image by repeating it.

    Args:
        clip_len: Frames of the clip.
    """

    def __init__(self, clip_len: int) -> None:
        self.clip_len = clip_len

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Repeat; nothing is drawn.

        Raises:
            DataError: There is not exactly one image.
        """
        if len(results['imgs']) != 1:
            raise DataError(f'BuildPseudoClip makes a clip of one image, but there are {len(results["imgs"])}')
        results.update(imgs=results['imgs'] * self.clip_len, clip_len=self.clip_len, num_clips=1)
        return results
