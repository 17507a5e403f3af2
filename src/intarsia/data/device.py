"""What happens to a batch on its device: it arrives as uint8, and is normalised there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch

from intarsia.core.errors import RegistryError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.normalize import normalization_table


class DeviceNormalize:
    """Normalises images to the very numbers that the ``Normalize`` transform gives sample by sample.

    Args:
        mean: Of every channel, in the order after the swap.
        std: The same.
        to_rgb: Reverse the order of three channels first; images without three channels stay as they are.
        key: Entry of a batch that holds the images.
        channel_axis: Which axis of a batch the channels are.
    """

    is_padded = False
    """Whether images may be padded, which is to become 0; see :func:`blank_padding`."""

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        to_rgb: bool = True,
        key: str = 'img',
        channel_axis: int = 1,
    ) -> None:
        self.mean, self.std = np.array(mean, np.float32), np.array(std, np.float32)
        self.table = torch.from_numpy(normalization_table(self.mean, self.std))
        self.to_rgb, self.key, self.channel_axis = to_rgb, key, channel_axis

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """A batch on any device, with channels where ``channel_axis`` says -> float32 of the same shape.

        Values of uint8 are looked up in a table.

        Raises:
            ValueError: The images have another number of channels than the mean.
        """
        num_channels = images.shape[self.channel_axis]
        if num_channels != len(self.table):
            raise ValueError(f'images with {num_channels} channels cannot be normalized with {len(self.table)} means')
        if self.table.device != images.device:
            self.table = self.table.to(images.device)
        order = range(num_channels)
        sources = reversed(order) if self.to_rgb and num_channels == 3 else order
        out = torch.empty(images.shape, dtype=torch.float32, device=images.device)
        # n images (or clips), c channels, r pixels
        images_ncr, out_ncr = (each.flatten(0, self.channel_axis - 1).flatten(2) for each in (images, out))
        for channel, source in zip(order, sources, strict=True):
            self._normalize_channel(images_ncr[:, source], channel, out_ncr[:, channel])
        return out

    def _normalize_channel(self, plane_nr: torch.Tensor, channel: int, out_nr: torch.Tensor) -> None:
        if plane_nr.dtype != torch.uint8:
            out_nr.copy_(self.calculate(plane_nr, channel))
        elif plane_nr.device.type == 'cpu':  # OpenCV looks up several times as fast as torch indexes
            row = self.table[channel].numpy()
            for plane_r, out_r in zip(plane_nr.numpy(), out_nr.numpy(), strict=True):
                cv2.LUT(plane_r[None], row, out_r[None])
        else:
            out_nr.copy_(self.table[channel][plane_nr.int()])

    def calculate(self, plane: torch.Tensor, channel: int) -> torch.Tensor:
        """What values of a channel become that no table holds."""
        centered = (plane.double() - float(self.mean[channel])).float()
        return centered.double() * (1 / float(self.std[channel]))


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
        normalize: Applied to the entry that its ``key`` names; None leaves it.
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
        key = self.normalize.key if self.normalize is not None else 'img'
        if key in moved:
            images = moved[key]
            moved[key] = [self._prepared(i) for i in images] if isinstance(images, list) else self._prepared(images)
            if self.normalize is not None and self.normalize.is_padded:
                blank_padding(moved[key], moved['img_metas'])
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
    """Take the normalisation out of a pipeline, if only formatting follows it: then the device can do it as well.

    A transform normalises if its class has ``on_device``, which gives a :class:`DeviceNormalize` for its arguments (and
    the nodes that follow, if it takes ``after``) or None, and may name steps that take the place of others in
    ``before_device``; what may follow declares ``keeps_pixels``. Padding with 0 may follow too, if its class declares
    ``keeps_img_shape``: the sample then tells what is padding, and the device sets it to 0 after normalising.

    Args:
        pipeline: Config nodes.
        task: Task whose transforms bare names mean.

    Returns:
        The remaining nodes, and what the device does; None if the pipeline keeps its normalisation.
    """
    nodes = list(pipeline)
    kinds = [_kind_of(node, task) for node in nodes]
    places = [place for place, kind in enumerate(kinds) if hasattr(kind, 'on_device')]
    if len(places) != 1:
        return nodes, None
    place = places[0]
    after = [(node, kind) for node, kind in zip(nodes, kinds, strict=True)][place + 1 :]
    pads = [(node, kind) for node, kind in after if not getattr(kind, 'keeps_pixels', False)]
    if not all(getattr(kind, 'keeps_img_shape', False) and node.get('pad_val', 0) == 0 for node, kind in pads):
        return nodes, None
    if pads and not all('img_shape' in node.get('meta_keys', ('img_shape',)) for node, _ in after):
        return nodes, None
    kind, arguments = kinds[place], {key: value for key, value in nodes[place].items() if key != 'type'}
    if 'after' in _arguments_of(kind.on_device):
        arguments['after'] = nodes[place + 1 :]
    normalize = kind.on_device(**arguments) if arguments.keys() <= _arguments_of(kind.on_device) else None
    if normalize is None:
        return nodes, None
    normalize.is_padded = bool(pads)
    before = [getattr(kind, 'before_device', {}).get(node['type'], node) for node in nodes[:place]]
    return before + nodes[place + 1 :], normalize


def _kind_of(node: Any, task: str | None) -> Any:
    """The class of a transform's node; None for a callable, or a name that is not known."""
    kind = node.get('type') if isinstance(node, Mapping) else None
    try:
        return TRANSFORMS.of(task).get(kind) if isinstance(kind, str) else None
    except RegistryError:
        return None


def _arguments_of(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters)
