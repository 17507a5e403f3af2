"""Reading, writing and showing images, as ``mmcv.image`` does: arrays ``(H, W)`` or ``(H, W, C)``, BGR."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from intarsia.core.errors import DataError, IntarsiaError
from intarsia.data.io.image import read_image, write_image
from intarsia.openmmlab.file_backends import File, Options, get, get_file_backend
from intarsia.openmmlab.image_values import imdenormalize

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]

supported_backends = ['cv2', 'turbojpeg', 'pillow', 'tifffile']
_decoder = 'cv2'


def use_backend(backend: str) -> None:
    """Decode images by another library from now on, where none is named.

    Raises:
        ValueError: It is none of ``supported_backends``.
    """
    global _decoder
    if backend not in supported_backends:
        raise ValueError(f'images are decoded by one of {", ".join(supported_backends)}, not by {backend!r}')
    _decoder = backend


def imread(
    img_or_path: Array | File,
    flag: str | int = 'color',
    channel_order: str = 'bgr',
    backend: str | None = None,
    file_client_args: Options = None,
    *,
    backend_args: Options = None,
) -> Any:
    """Read an image; an array is returned as it is.

    Args:
        img_or_path: A file, or an image.
        flag: See :func:`imfrombytes`.
        channel_order: The same.
        backend: The same.
        file_client_args: ``dict(backend='disk')`` or None.
        backend_args: The same.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if isinstance(img_or_path, np.ndarray):
        return img_or_path
    if not isinstance(img_or_path, (str, os.PathLike)):
        raise TypeError(f'an image is an array or a path, not {type(img_or_path).__name__}')
    return imfrombytes(get(img_or_path, file_client_args or backend_args), flag, channel_order, backend)


def imfrombytes(
    content: bytes, flag: str | int = 'color', channel_order: str = 'bgr', backend: str | None = None
) -> Any:
    """Decode an image.

    Args:
        content: Of a file.
        flag: A word of :data:`intarsia.data.io.image.COLOR_TYPES`, or a flag of OpenCV.
        channel_order: ``'bgr'`` or ``'rgb'``; images that are read ``'unchanged'`` stay BGR.
        backend: One of ``supported_backends``. ``'turbojpeg'`` is OpenCV, which has the same library in it, without
            turning the image upright.

    Returns:
        The image; None if OpenCV cannot decode it.

    Raises:
        DataError: Another backend cannot decode it.
    """
    backend = backend or _decoder
    if not isinstance(flag, str):
        return cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    if backend == 'turbojpeg':
        backend, flag = 'cv2', f'{flag.removesuffix("_ignore_orientation")}_ignore_orientation'
    order = 'bgr' if flag == 'unchanged' else channel_order.lower()
    try:
        return read_image(content, flag, order, backend)  # type: ignore[arg-type]
    except DataError:
        if backend == 'cv2':
            return None
        raise


def imwrite(
    img: Array,
    file_path: File,
    params: Sequence[int] | None = None,
    auto_mkdir: bool | None = None,
    file_client_args: Options = None,
    *,
    backend_args: Options = None,
) -> bool:
    """Write an image, and make its folder.

    Args:
        img: The image.
        file_path: Its suffix says the format.
        params: Options of the format, as OpenCV numbers them.
        auto_mkdir: Does not matter.
        file_client_args: ``dict(backend='disk')`` or None.
        backend_args: The same.

    Raises:
        DataError: The format is unknown, or cannot hold such an array.
    """
    get_file_backend(file_path, backend_args=file_client_args or backend_args)
    write_image(img, file_path, params=params or ())
    return True


def imshow(img: Array | File, win_name: str = '', wait_time: int = 0) -> None:
    """Show an image in a window for so many milliseconds; 0: until a key is pressed or the window closed.

    Raises:
        IntarsiaError: OpenCV is installed without windows.
    """
    try:
        cv2.imshow(win_name, imread(img))
    except cv2.error as error:
        raise IntarsiaError(
            'OpenCV has no windows here (that is what "headless" means): write the image with imwrite, '
            'or install opencv-python in place of opencv-python-headless'
        ) from error
    if wait_time:
        cv2.waitKey(wait_time)
        return
    while cv2.waitKey(1) == -1 and cv2.getWindowProperty(win_name, cv2.WND_PROP_VISIBLE) >= 1:
        pass


def tensor2imgs(
    tensor: Tensor,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    to_rgb: bool = True,
    to_bgr: bool | None = None,
) -> list[Array]:
    """Images uint8 ``(H, W, 3)`` or ``(H, W)`` of a normalized batch.

    Args:
        tensor: ``(N, C, H, W)`` with one or three channels.
        mean: What was subtracted, by channel.
        std: What was divided by.
        to_rgb: Whether three channels are RGB, to be turned to BGR.
        to_bgr: The same, as MMEngine calls it.

    Raises:
        ValueError: The shapes do not fit.
    """
    channels = tensor.shape[1] if tensor.ndim == 4 else 0
    means = np.asarray((0,) * channels if mean is None else mean, np.float32)
    stds = np.asarray((1,) * channels if std is None else std, np.float32)
    if channels not in (1, 3) or not len(means) == len(stds) == channels:
        raise ValueError(f'(N, 1 or 3, H, W) is expected with as many means and deviations, not {tuple(tensor.shape)}')
    swap = channels == 3 and (to_rgb if to_bgr is None else to_bgr)
    images = tensor.detach().cpu().numpy().transpose(0, 2, 3, 1)
    restored = [np.ascontiguousarray(imdenormalize(img, means, stds, swap).astype(np.uint8)) for img in images]
    return restored if channels == 3 else [img[..., 0] for img in restored]
