"""Which stages of a backbone a head takes, and how it joins them.

Shapes: n images, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from intarsia.nn.resize import resize

Features = Sequence[Tensor]
"""What a backbone or neck returns: one tensor a stage."""

InputTransform = Literal['resize_concat', 'multiple_select'] | None
"""What happens to several stages: they are brought to the size of the first and joined, or handed over as a list."""


def joined_channels(
    owner: str, in_channels: int | Sequence[int], in_index: int | Sequence[int], input_transform: InputTransform
) -> int | list[int]:
    """Channels of what :func:`transform_inputs` gives.

    Raises:
        ValueError: Channels, indices and transform do not belong together; the message begins with ``owner``.
    """
    if input_transform is None:
        if not isinstance(in_channels, int) or not isinstance(in_index, int):
            raise ValueError(
                f'{owner}: in_channels={in_channels!r} and in_index={in_index!r} must both be one number; '
                "for several stages set input_transform='resize_concat' or 'multiple_select'"
            )
        return in_channels
    if input_transform not in ('resize_concat', 'multiple_select'):
        raise ValueError(f"{owner}: input_transform is 'resize_concat' or 'multiple_select', not {input_transform!r}")
    if isinstance(in_channels, int) or isinstance(in_index, int) or len(in_channels) != len(in_index):
        raise ValueError(
            f'{owner}: in_channels={in_channels!r} and in_index={in_index!r} must be lists of equal length '
            f'with input_transform={input_transform!r}'
        )
    return sum(in_channels) if input_transform == 'resize_concat' else list(in_channels)


def transform_inputs(
    feats: Features, in_index: int | Sequence[int], input_transform: InputTransform, align_corners: bool
) -> Any:
    """The stage ``(N, C, h, w)`` that ``in_index`` names; or several, in a list or joined at the size of the first."""
    if isinstance(in_index, int):
        return feats[in_index]
    picked = [feats[i] for i in in_index]
    if input_transform == 'multiple_select':
        return picked
    size = picked[0].shape[2:]
    return torch.cat([resize(x, size=size, mode='bilinear', align_corners=align_corners) for x in picked], 1)
