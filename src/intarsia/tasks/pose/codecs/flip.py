"""Turns outputs for a mirrored image back, so that they can be averaged with those for the image itself.

Shapes: n people, k joints, maps of height h and width w, vectors of length l. ``flip_index`` says for every joint
which one it is in the mirrored image: itself, or its partner.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intarsia.tasks.pose.codecs.codec import one_of

MIRRORED_CHANNEL = {'heatmap': (1, None), 'udp_combined': (3, 1), 'offset': (2, 0)}
"""How many maps a joint has, by the kind of output, and which of them holds distances in x: they change their sign."""


def flip_heatmaps(
    heatmap_nkhw: Tensor,
    flip_index: Sequence[int] | None = None,
    shift: bool = False,
    mode: str = 'heatmap',
) -> Tensor:
    """Maps of a mirrored image, mirrored back.

    Args:
        heatmap_nkhw: Maps; with other modes ``(N, 3K, H, W)`` or ``(N, 2K, H, W)``.
        flip_index: Which joint is which; None if the channels are no joints.
        shift: Move the maps by one pixel to the right; the first column stays. Maps whose pixels cover an even number
            of those of the input are off by that much, or nearly, unless the data were prepared by UDP.
        mode: ``'heatmap'``; ``'udp_combined'`` for a disc, x and y for every joint; ``'offset'`` for x and y.

    Returns:
        New maps; those given stay as they are.
    """
    maps_per_joint, x_map = MIRRORED_CHANNEL[one_of('mode', mode, tuple(MIRRORED_CHANNEL))]
    maps = heatmap_nkhw.unflatten(1, (-1, maps_per_joint)).flip(-1)
    if flip_index is not None:
        _check(flip_index, maps.shape[1])
        maps = maps[:, list(flip_index)]
    if x_map is not None:
        maps[:, :, x_map].neg_()
    if shift:
        maps = torch.cat([maps[..., :1], maps[..., :-1]], -1)
    return maps.flatten(1, 2)


def flip_vectors(x_nkl: Tensor, y_nkl: Tensor, flip_index: Sequence[int]) -> tuple[Tensor, Tensor]:
    """SimCC vectors of a mirrored image, mirrored back."""
    _check(flip_index, x_nkl.shape[1])
    order = list(flip_index)
    return x_nkl[:, order].flip(-1), y_nkl[:, order]


def flip_coordinates(
    xy_nkd: Tensor, flip_index: Sequence[int], shift: bool = False, input_width: int = 1, centre: Tensor | float = 0.5
) -> Tensor:
    """Coordinates in a mirrored image, mirrored back.

    Args:
        xy_nkd: x, y and what else there is of each joint, ``(..., K, D)``; x is 0 ... 1 across the input.
        flip_index: Which joint is which.
        shift: Move x by one pixel of the input to the left.
        input_width: Width of the input in pixels.
        centre: Where the mirror stands: an x for all, or one ``(..., 1)`` for each person.
    """
    _check(flip_index, xy_nkd.shape[-2])
    turned = xy_nkd[..., list(flip_index), :]
    x = 2 * centre - turned[..., :1].squeeze(-1) - (1 / input_width if shift else 0)
    return torch.cat([x.unsqueeze(-1), turned[..., 1:]], -1)


def _check(flip_index: Sequence[int], num_joints: int) -> None:
    if len(flip_index) != num_joints:
        raise ValueError(f'flip_index is for {len(flip_index)} joints, but the outputs are for {num_joints}')
