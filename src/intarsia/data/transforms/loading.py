"""The first step of most pipelines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.image import BACKENDS, COLOR_TYPES, ColorType, read_image
from intarsia.data.transforms.image_transform import require_choice
from intarsia.data.transforms.transform import Results, Transform


@TRANSFORMS.register_module()
class LoadImageFromFile(Transform):
    """Read the image of a sample.

    The sample names it by ``img_prefix`` (a folder, or None) and ``img_info['filename']``, or by ``img_path``; or it
    holds it already as ``img``, an array that stays as it is.
    Sets ``img``, its ``img_shape``, ``ori_shape`` and ``pad_shape``, ``filename`` (the path), ``ori_filename`` (without
    the folder), the ``scale_factor`` 1.0, and an ``img_norm_cfg`` that says that nothing was normalized.

    Args:
        to_float32: Convert the image to float32.
        color_type: What the image becomes; see :func:`intarsia.data.io.image.read_image`.
        imdecode_backend: Which library decodes, ``'cv2'``, ``'pillow'`` or ``'tifffile'`` (TIFF with any number of
            channels and any depth, as stored).
        file_client_args: ``dict(backend='disk')`` or None; files are read from disk.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: Literal[
            'color', 'grayscale', 'unchanged', 'color_ignore_orientation', 'grayscale_ignore_orientation'
        ] = 'color',
        imdecode_backend: Literal['cv2', 'pillow', 'tifffile'] = 'cv2',
        file_client_args: Mapping[str, Any] | None = None,
    ) -> None:
        self.to_float32 = to_float32
        self.color_type: ColorType = require_choice('color_type', color_type, COLOR_TYPES)
        self.imdecode_backend: Any = require_choice('imdecode_backend', imdecode_backend, BACKENDS)
        require_disk(file_client_args)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Read; nothing is drawn."""
        if 'img' in results:
            img = results['img']
        else:
            results['filename'], results['ori_filename'] = path_of(results)
            img = read_image(results['filename'], self.color_type, backend=self.imdecode_backend)
        if self.to_float32:
            img = img.astype(np.float32)
        channels = img.shape[2] if img.ndim == 3 else 1
        results.update(
            img=img,
            img_shape=img.shape,
            ori_shape=img.shape,
            pad_shape=img.shape,
            scale_factor=1.0,
            img_norm_cfg={
                'mean': np.zeros(channels, np.float32),
                'std': np.ones(channels, np.float32),
                'to_rgb': False,
            },
        )
        return results


def path_of(results: Results) -> tuple[str, str]:
    """The path of a sample's image, and its name without the folder."""
    if results.get('img_info') is None:
        return results['img_path'], results['img_path']
    name = results['img_info']['filename']
    return os.path.join(results.get('img_prefix') or '', name), name


def require_disk(file_client_args: Mapping[str, Any] | None) -> None:
    """Check that a ``file_client_args`` means files on disk.

    Raises:
        ValueError: It names another backend.
    """
    backend = (file_client_args or {}).get('backend', 'disk')
    require_choice("file_client_args['backend']", backend, ('disk', 'local'))
