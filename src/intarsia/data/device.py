"""What happens to a batch on its device: it arrives as uint8, and is normalised there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from intarsia.data.io.normalize import normalization_table

FORMATTING = frozenset({'ImageToTensor', 'ToTensor', 'Collect', 'DefaultFormatBundle', 'Transpose'})


class DeviceNormalize:
    """Normalises images to the very numbers that the ``Normalize`` transform gives sample by sample.

    Args:
        mean: Of every channel, in the order after the swap.
        std: The same.
        to_rgb: Swap BGR to RGB first; images without three channels stay as they are.
    """

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
            out_nchw[:, channel] = self._one_channel(images_nchw[:, source], channel)
        return out_nchw

    def _one_channel(self, plane_nhw: torch.Tensor, channel: int) -> torch.Tensor:
        if plane_nhw.dtype == torch.uint8:
            return self.table[channel][plane_nhw.int()]
        centered = (plane_nhw.double() - float(self.mean[channel])).float()
        return (centered.double() * (1 / float(self.std[channel]))).float()


class ToDevice:
    """Moves the tensors of a batch to a device and normalises its images there.

    Args:
        device: Where to.
        normalize: Applied to ``img``; None leaves it.
    """

    def __init__(self, device: torch.device | str, normalize: DeviceNormalize | None = None) -> None:
        self.device = torch.device(device)
        self.normalize = normalize

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The same batch on the device."""
        moved = {
            k: v.to(self.device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in batch.items()
        }
        if self.normalize is not None:
            moved['img'] = self.normalize(moved['img'])
        return moved


def split_normalize(
    pipeline: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], DeviceNormalize | None]:
    """Take ``Normalize`` out of a pipeline, if only formatting follows it: then the device can do it as well.

    Returns:
        The remaining nodes, and what the device does; None if the pipeline keeps its ``Normalize``.
    """
    nodes = list(pipeline)
    names = [node.get('type') if isinstance(node, Mapping) else None for node in nodes]
    if names.count('Normalize') != 1:
        return nodes, None
    place = names.index('Normalize')
    node = nodes[place]
    if not all(name in FORMATTING for name in names[place + 1 :]) or node.keys() - {'type', 'mean', 'std', 'to_rgb'}:
        return nodes, None
    normalize = DeviceNormalize(node['mean'], node['std'], node.get('to_rgb', True))
    return nodes[:place] + nodes[place + 1 :], normalize
