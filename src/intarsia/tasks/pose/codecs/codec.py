"""What a codec is: how joints become targets of a network, and outputs of a network joints.

Shapes: n people, k joints; coordinates are x, y in pixels of the input, whose first pixel has its centre at (0, 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia.core.registries import CODECS

Keypoints = tuple[Tensor, Tensor]
"""Joints ``(N, K, 2)`` in pixels of the input, and scores ``(N, K)``; float32 on the device of the outputs."""


class Codec:
    """Encodes the joints of one sample, and decodes outputs in batches.

    One object serves the data set, which encodes; the head, whose loss may need its numbers; and the model, which
    decodes. Nothing in it is learned, and calls change nothing. On the way to the image a decoded x is divided by the
    width of the input and multiplied by that of the person's box, whatever the codec.

    Args:
        input_size: Width and height of the input.
    """

    def __init__(self, input_size: Sequence[int]) -> None:
        self.input_size = _size(input_size, 'input_size')

    def encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, np.ndarray]:
        """Targets of one person.

        Args:
            keypoints_k2: Joints, float32.
            visible_k: How much each counts: 0 for a joint that nobody has marked.

        Returns:
            ``target`` and ``target_weight``, float32, or what else the loss takes.
        """
        raise NotImplementedError(f'{type(self).__name__} has no encode')

    def decode(self, outputs: Any) -> Any:
        """Joints and scores (:data:`Keypoints`) from the outputs of a network for N people.

        A joint that the outputs show nowhere has a score of 0 or less, and lies in the pixel before the first.
        """
        raise NotImplementedError(f'{type(self).__name__} has no decode')


class HeatmapCodec(Codec):
    """A codec whose targets are maps of where a joint is.

    Args:
        input_size: Width and height of the input.
        heatmap_size: Width and height of the maps.
    """

    flip_mode = 'heatmap'
    """How :func:`~intarsia.tasks.pose.codecs.flip.flip_heatmaps` turns maps of a mirrored image back."""

    def __init__(self, input_size: Sequence[int], heatmap_size: Sequence[int]) -> None:
        super().__init__(input_size)
        self.heatmap_size = _size(heatmap_size, 'heatmap_size')

    @property
    def stride(self) -> np.ndarray:
        """Pixels of the input that one of a map covers, in x and y."""
        return np.array(self.input_size) / self.heatmap_size

    def to_input(self, xy_nk2: Tensor) -> Tensor:
        """From pixels of a map to pixels of the input."""
        return xy_nk2 * torch.as_tensor(self.stride, dtype=xy_nk2.dtype, device=xy_nk2.device)


def build_codec(codec: Codec | Mapping[str, Any] | None) -> Codec | None:
    """A codec from its node; a codec stays as it is, and None too."""
    return codec if codec is None or isinstance(codec, Codec) else CODECS.of('pose').build(codec)


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """``value``, if it is allowed for the argument ``name``.

    Raises:
        ValueError: It is not.
    """
    if value not in allowed:
        raise ValueError(f"{name} is '{value}', but must be one of {', '.join(map(repr, allowed))}")
    return value


def _size(size: Sequence[int], name: str) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f'{name} is a width and a height in pixels, not {size}')
    width, height = size
    return int(width), int(height)
