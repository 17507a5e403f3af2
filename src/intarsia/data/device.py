"""What happens to a batch on its device: it arrives as uint8, and is normalised there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.normalize import normalization_table

FORMATTING = frozenset({'ImageToTensor', 'ToTensor', 'Collect', 'DefaultFormatBundle', 'Transpose'})


class DeviceNormalize:
    """Normalises images to the very numbers that the ``Normalize`` transform gives sample by sample.

    Args:
        mean: Of every channel, in the order after the swap.
        std: The same.
        to_rgb: Swap BGR to RGB first; images without three channels stay as they are.
    """

    is_padded = False
    """Whether images may be padded, which is to become 0; see :func:`blank_padding`."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], to_rgb: bool = True) -> None:
        self.mean, self.std = np.array(mean, np.float32), np.array(std, np.float32)
        self.table = torch.from_numpy(normalization_table(self.mean, self.std))
        self.to_rgb = to_rgb

    def __call__(self, images_nchw: torch.Tensor) -> torch.Tensor:
        """``(N, C, H, W)`` on any device -> float32 of the same shape; uint8 is looked up in a table.

        Raises:
            ValueError: The images have another number of channels than the mean.
        """
        num_channels = images_nchw.shape[1]
        if num_channels != len(self.table):
            raise ValueError(f'images with {num_channels} channels cannot be normalized with {len(self.table)} means')
        if self.table.device != images_nchw.device:
            self.table = self.table.to(images_nchw.device)
        order = range(num_channels)
        sources = reversed(order) if self.to_rgb and num_channels == 3 else order
        out_nchw = torch.empty(images_nchw.shape, dtype=torch.float32, device=images_nchw.device)
        for channel, source in zip(order, sources, strict=True):
            self._normalize_channel(images_nchw[:, source], channel, out_nchw[:, channel])
        return out_nchw

    def _normalize_channel(self, plane_nhw: torch.Tensor, channel: int, out_nhw: torch.Tensor) -> None:
        if plane_nhw.dtype != torch.uint8:
            centered = (plane_nhw.double() - float(self.mean[channel])).float()
            out_nhw.copy_(centered.double() * (1 / float(self.std[channel])))
        elif plane_nhw.device.type == 'cpu':  # OpenCV looks up several times as fast as torch indexes
            row = self.table[channel].numpy()
            for plane_hw, out_hw in zip(plane_nhw.numpy(), out_nhw.numpy(), strict=True):
                cv2.LUT(plane_hw, row, out_hw)
        else:
            out_nhw.copy_(self.table[channel][plane_nhw.int()])


def blank_padding(images_nchw: torch.Tensor, metas: Sequence[Mapping[str, Any]]) -> torch.Tensor:
    """Set to 0, in place, what lies to the right of and below the ``img_shape`` of each image."""
    height, width = images_nchw.shape[2:]
    for image_chw, meta in zip(images_nchw, metas, strict=True):
        rows, columns = meta['img_shape'][:2]
        if rows < height:
            image_chw[:, rows:] = 0
        if columns < width:
            image_chw[:, :, columns:] = 0
    return images_nchw


class ToDevice:
    """Moves the tensors of a batch to a device and normalises its images there.

    Args:
        device: Where to.
        normalize: Applied to ``img``; None leaves it.
        channels_last: Whether images come in the memory order that GPUs prefer.
    """

    def __init__(
        self, device: torch.device | str, normalize: DeviceNormalize | None = None, channels_last: bool = False
    ) -> None:
        self.device = torch.device(device)
        self.normalize = normalize
        self.channels_last = channels_last

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The same batch on the device; lists of tensors are versions of the same images."""
        moved = {key: self._moved(value) for key, value in batch.items()}
        if 'img' in moved:
            several = isinstance(moved['img'], list)
            moved['img'] = [self._prepared(i) for i in moved['img']] if several else self._prepared(moved['img'])
            if self.normalize is not None and self.normalize.is_padded:
                blank_padding(moved['img'], moved['img_metas'])
        return moved

    def _moved(self, value: Any) -> Any:
        if isinstance(value, list) and value and all(isinstance(each, torch.Tensor) for each in value):
            return [self._moved(each) for each in value]
        return value.to(self.device, non_blocking=True) if isinstance(value, torch.Tensor) else value

    def _prepared(self, images: Any) -> Any:
        if not isinstance(images, torch.Tensor):
            return images
        if self.normalize is not None:
            images = self.normalize(images)
        if self.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        return images


def split_normalize(
    pipeline: Sequence[Mapping[str, Any]], task: str | None = None
) -> tuple[list[Mapping[str, Any]], DeviceNormalize | None]:
    """Take ``Normalize`` out of a pipeline, if only formatting follows it: then the device can do it as well.

    Padding with 0 may follow too, if its class declares ``keeps_img_shape``: the sample then tells what is padding, and
    the device sets it to 0 after normalising.

    Args:
        pipeline: Config nodes.
        task: Task whose transforms bare names mean.

    Returns:
        The remaining nodes, and what the device does; None if the pipeline keeps its ``Normalize``.
    """
    nodes = list(pipeline)
    names = [node.get('type') if isinstance(node, Mapping) else None for node in nodes]
    if names.count('Normalize') != 1:
        return nodes, None
    place = names.index('Normalize')
    node = nodes[place]
    others = [each for each, name in zip(nodes, names, strict=True) if name not in FORMATTING]
    pads = others[others.index(node) + 1 :]
    if node.keys() - {'type', 'mean', 'std', 'to_rgb'} or not all(_pads_knowably(each, task) for each in pads):
        return nodes, None
    if pads and not all('img_shape' in each.get('meta_keys', ('img_shape',)) for each in nodes[place + 1 :]):
        return nodes, None
    normalize = DeviceNormalize(node['mean'], node['std'], node.get('to_rgb', True))
    normalize.is_padded = bool(pads)
    return nodes[:place] + nodes[place + 1 :], normalize


def _pads_knowably(node: Any, task: str | None) -> bool:
    """Whether a step does nothing but pad images with 0, and leaves their ``img_shape`` as it was."""
    kind = node.get('type') if isinstance(node, Mapping) else None
    if not isinstance(kind, str) or kind not in TRANSFORMS.of(task) or node.get('pad_val', 0) != 0:
        return False
    return getattr(TRANSFORMS.of(task).get(kind), 'keeps_img_shape', False) is True
