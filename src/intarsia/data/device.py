"""What happens to a batch on its device: it arrives as uint8, and is normalised there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

FORMATTING = frozenset({'ImageToTensor', 'ToTensor', 'Collect', 'DefaultFormatBundle', 'Transpose'})


class DeviceNormalize:
    """Normalises uint8 images to the very numbers that the ``Normalize`` transform gives sample by sample.

    Args:
        mean: Of every channel, in the order after the swap.
        std: The same.
        to_rgb: Swap BGR to RGB first.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], to_rgb: bool = True) -> None:
        self.mean = torch.tensor(mean, dtype=torch.float64).to(torch.float32).view(-1, 1, 1)
        self.scale = (1 / torch.tensor(std, dtype=torch.float64)).to(torch.float32).view(-1, 1, 1)
        self.to_rgb = to_rgb

    def __call__(self, images_nchw: torch.Tensor) -> torch.Tensor:
        """uint8 ``(N, C, H, W)`` on any device -> float32 of the same shape."""
        if self.mean.device != images_nchw.device:
            self.mean, self.scale = self.mean.to(images_nchw.device), self.scale.to(images_nchw.device)
        images_nchw = images_nchw.flip(1) if self.to_rgb and images_nchw.shape[1] == 3 else images_nchw
        return images_nchw.to(torch.float32).sub_(self.mean).mul_(self.scale)


class ToDevice:
    """Moves the tensors of a batch to a device and normalises its images there.

    Args:
        device: Where to.
        normalize: Applied to ``img`` if it is uint8; None leaves it.
        channels_last: Memory order of ``img``.
    """

    def __init__(self, device: torch.device | str, normalize: DeviceNormalize | None = None) -> None:
        self.device = torch.device(device)
        self.normalize = normalize

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The same batch on the device."""
        moved = {
            k: v.to(self.device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in batch.items()
        }
        image = moved.get('img')
        if self.normalize is not None and isinstance(image, torch.Tensor) and image.dtype == torch.uint8:
            moved['img'] = self.normalize(image)
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
