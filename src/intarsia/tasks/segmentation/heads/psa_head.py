"""Attention that every pixel predicts for its surroundings.

Shapes: n images, c channels, k classes, h rows, w columns, m places of a window, l pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of


@HEADS.register_module()
class PSAHead(BaseDecodeHead):
    """Every pixel says how much it takes from each place around it (collect), or gives to it (distribute).

    "PSANet: Point-wise Spatial Attention Network for Scene Parsing" (Zhao et al., ECCV 2018).

    Args:
        mask_size: Height and width of the window a pixel speaks about.
        psa_type: ``'collect'``, ``'distribute'`` or both.
        compact: The window is the whole map, whose (shrunk) size must be ``mask_size``, with places in their own order
            instead of relative to the pixel.
        shrink_factor: By how much the map is made smaller for the attention.
        normalization_factor: What is gathered is divided by it; None for the number of places of the window.
        psa_softmax: Whether weights add up to 1.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.

    Raises:
        ValueError: ``psa_type`` is unknown.
    """

    def __init__(
        self,
        mask_size: Sequence[int],
        psa_type: Literal['collect', 'distribute', 'bi-direction'] = 'bi-direction',
        compact: bool = False,
        shrink_factor: int = 2,
        normalization_factor: float | None = 1.0,
        psa_softmax: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if psa_type not in ('collect', 'distribute', 'bi-direction'):
            raise ValueError(f"PSAHead: psa_type is 'collect', 'distribute' or 'bi-direction', not {psa_type!r}")
        self.mask_size, self.psa_type, self.compact = tuple(mask_size), psa_type, compact
        self.shrink_factor, self.psa_softmax = shrink_factor, psa_softmax
        num_places = mask_size[0] * mask_size[1]
        self.normalization_factor = normalization_factor or num_places
        conv, width = convs_of(self), self.channels
        both = psa_type == 'bi-direction'
        for suffix in ('', '_p') if both else ('',):
            self.add_module(f'reduce{suffix}', conv(self.in_channels, width))
            last = nn.Conv2d(width, num_places, 1, bias=False)
            self.add_module(f'attention{suffix}', nn.Sequential(conv(width, width), last))
        # A kernel of one pixel, padded all the same: published weights were trained with this frame.
        self.proj = conv(width * (2 if both else 1), self.in_channels, padding=1)
        self.bottleneck = conv(2 * self.in_channels, width, 3)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        x_nchw = self._transform_inputs(feats)
        size, align_corners = self._shrunk(x_nchw.shape[2:])
        branches = {'bi-direction': {'': 'collect', '_p': 'distribute'}}.get(self.psa_type, {'': self.psa_type})
        gathered = []
        for suffix, direction in branches.items():
            reduced = getattr(self, f'reduce{suffix}')(x_nchw)
            if self.shrink_factor != 1:
                reduced = resize(reduced, size, mode='bilinear', align_corners=align_corners)
            weight_nll = self._weights(getattr(self, f'attention{suffix}')(reduced), direction)
            gathered.append((reduced.flatten(2) @ weight_nll).view_as(reduced) / self.normalization_factor)
        out = self.proj(torch.cat(gathered, 1))
        out = resize(out, x_nchw.shape[2:], mode='bilinear', align_corners=align_corners)
        return self.cls_seg(self.bottleneck(torch.cat([x_nchw, out], 1)))

    def _shrunk(self, size: Sequence[int]) -> tuple[list[int], bool]:
        """The size for the attention, and how pixels are placed: odd sizes keep their corners."""
        factor = self.shrink_factor
        if factor == 1:
            return list(size), self.align_corners
        if all(side % factor for side in size):
            return [(side - 1) // factor + 1 for side in size], True
        return [side // factor for side in size], False

    def _weights(self, score_nmhw: Tensor, direction: str) -> Tensor:
        """How much goes from each pixel (rows) to each (columns), ``(N, L, L)``."""
        said_nlhw = score_nmhw if self.compact else windows_to_map(score_nmhw, self.mask_size)
        weight_nll = said_nlhw.flatten(2)
        if direction == 'distribute':
            weight_nll = weight_nll.transpose(1, 2)
        return weight_nll.softmax(1) if self.psa_softmax else weight_nll


def windows_to_map(score_nmhw: Tensor, window: Sequence[int]) -> Tensor:
    """Scores of the places of a window around each pixel as scores of all places of the map, 0 outside of the window.

    Args:
        score_nmhw: At every pixel the scores of the places of its window, row by row, ``(N, M, H, W)``.
        window: Height and width of the window.

    Returns:
        ``(N, H * W, H, W)``.
    """
    height, width = score_nmhw.shape[2:]
    row, row_inside = _offsets(height, window[0], score_nmhw.device)
    column, column_inside = _offsets(width, window[1], score_nmhw.device)
    # Axes: row and column that are looked at, row and column of the pixel that looks.
    place = row[:, None, :, None] * window[1] + column[None, :, None, :]
    inside = row_inside[:, None, :, None] & column_inside[None, :, None, :]
    place_lhw = place.flatten(0, 1).clamp(0, score_nmhw.shape[1] - 1)
    score_nlhw = score_nmhw.gather(1, place_lhw.expand(len(score_nmhw), -1, -1, -1))
    return score_nlhw * inside.flatten(0, 1)


def _offsets(length: int, window: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each pair of places of an axis: where the first lies in the window around the second, and whether it does."""
    place = torch.arange(length, device=device)
    offset = place[:, None] - place[None, :] + (window - 1) // 2
    return offset, (offset >= 0) & (offset < window)
