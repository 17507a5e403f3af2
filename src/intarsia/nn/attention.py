"""Self-attention: over all tokens, and within windows of a map.

Shape suffixes: n samples, l tokens, c channels, h height or heads (as the text says), w width, m windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.drop import build_dropout
from intarsia.nn.init import trunc_normal_
from intarsia.nn.layer_scale import scale_or_identity
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.pair import Pair, as_pair


class MultiheadAttention(BaseModule):
    """Self-attention over all tokens.

    "Attention Is All You Need" (Vaswani et al., 2017, arXiv:1706.03762).

    Args:
        embed_dims: Channels C of the result.
        num_heads: Number of heads; divides ``embed_dims``.
        input_dims: Channels of the tokens; ``embed_dims`` if not given.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
        dropout_layer: Config of the dropout of the whole branch.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the scores; ``head_dims ** -0.5`` if not given.
        proj_bias: Whether the output projection has a bias.
        v_shortcut: Add the values to the result, for ``input_dims`` other than ``embed_dims``; one head only.
        layer_scale_init_value: First value of a factor per channel of the result; 0 for no factor.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        input_dims: int | None = None,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = None,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        proj_bias: bool = True,
        v_shortcut: bool = False,
        layer_scale_init_value: float = 0.0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} is not a multiple of num_heads={num_heads}')
        self.embed_dims, self.num_heads, self.head_dims = embed_dims, num_heads, embed_dims // num_heads
        self.v_shortcut = v_shortcut
        self.scale = qk_scale or self.head_dims**-0.5
        self.attn_drop = attn_drop
        self.qkv = nn.Linear(input_dims or embed_dims, embed_dims * 3, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims, bias=proj_bias)
        self.proj_drop = nn.Dropout(proj_drop)
        self.out_drop = build_dropout(dropout_layer)
        self.gamma1 = scale_or_identity(embed_dims, layer_scale_init_value)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, input_dims)`` to ``(N, L, embed_dims)``."""
        query, key, value = split_heads(self.qkv(tokens_nlc), self.num_heads)
        drop = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=drop, scale=self.scale)
        out_nlc = self.proj(out.transpose(1, 2).flatten(2))
        out_nlc = self.out_drop(self.gamma1(self.proj_drop(out_nlc)))
        return out_nlc + value.squeeze(1) if self.v_shortcut else out_nlc


def split_heads(qkv_nlc: Tensor, num_heads: int) -> Sequence[Tensor]:
    """Queries, keys and values ``(N, heads, L, C / heads)`` from one tensor ``(N, L, 3 C)``."""
    return qkv_nlc.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


class WindowMSA(BaseModule):
    """Self-attention within a window, with a learned bias for every relative position.

    Args:
        embed_dims: Channels C.
        window_size: Height and width of the window.
        num_heads: Number of heads.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the scores; ``head_dims ** -0.5`` if not given.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        window_size: Pair,
        num_heads: int,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims, self.num_heads, self.window_size = embed_dims, num_heads, as_pair(window_size)
        self.scale = qk_scale or (embed_dims // num_heads) ** -0.5
        height, width = self.window_size
        table = torch.zeros((2 * height - 1) * (2 * width - 1), num_heads)
        self.relative_position_bias_table = nn.Parameter(table)
        self.register_buffer('relative_position_index', relative_position_index(height, width))
        self.relative_position_index: Tensor
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.attn_drop = attn_drop
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop)

    def init_own_weights(self) -> None:
        """Truncated normal biases."""
        trunc_normal_(self.relative_position_bias_table, std=0.02)

    def bias_hll(self) -> Tensor:
        """The bias of every pair of places in the window, ``(heads, L, L)``."""
        bias_llh = self.relative_position_bias_table[self.relative_position_index]
        return bias_llh.permute(2, 0, 1).contiguous()

    def forward(self, windows_nlc: Tensor, mask_mll: Tensor | None = None) -> Tensor:
        """Attend within each window.

        Args:
            windows_nlc: The windows of all samples, those of one sample together, ``(N * M, L, C)``.
            mask_mll: Added to the scores of each window, ``(M, L, L)``.

        Returns:
            A tensor of the shape of ``windows_nlc``.
        """
        qkv = split_heads(self.qkv(windows_nlc), self.num_heads)
        drop = self.attn_drop if self.training else 0.0
        out_nlc = attend_in_windows(qkv, self.bias_hll(), mask_mll, drop, self.scale)
        return self.proj_drop(self.proj(out_nlc))


def attend_in_windows(
    qkv: Sequence[Tensor], bias_hll: Tensor, mask_mll: Tensor | None, dropout_p: float, scale: float
) -> Tensor:
    """Attention within windows with a bias for pairs of places.

    Args:
        qkv: Queries, keys and values, each ``(N * M, heads, L, C / heads)``, the windows of one sample together.
        bias_hll: Added to the scores, ``(heads, L, L)``.
        mask_mll: Added to the scores of each window, ``(M, L, L)``.
        dropout_p: Dropout of the attention weights.
        scale: Factor of the scores.

    Returns:
        ``(N * M, L, C)``.
    """
    num_heads, bias = len(bias_hll), bias_hll
    if mask_mll is not None:
        # As many heads as there are windows times heads, so that the bias broadcasts over the samples.
        qkv = [x.unflatten(0, (-1, len(mask_mll))).flatten(1, 2) for x in qkv]
        bias = (bias + mask_mll.unsqueeze(1)).flatten(0, 1)
    query, key, value = qkv
    out = F.scaled_dot_product_attention(
        query, key, value, attn_mask=bias.to(query.dtype), dropout_p=dropout_p, scale=scale
    )
    if mask_mll is not None:
        out = out.unflatten(1, (len(mask_mll), num_heads)).flatten(0, 1)
    return out.transpose(1, 2).flatten(2)


def relative_position_index(height: int, width: int) -> Tensor:
    """Row of the bias table for every pair of places in a window, int64 ``(H * W, H * W)``."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    place_l = (y * (2 * width - 1) + x).flatten()
    centre = (height - 1) * (2 * width - 1) + width - 1
    return place_l[:, None] - place_l[None, :] + centre


class ShiftWindowMSA(BaseModule):
    """Attention within windows of a map that may be shifted by a part of a window.

    "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (Liu et al., 2021, arXiv:2103.14030).

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        window_size: Side of a window.
        shift_size: By how much windows are shifted, 0 ... window_size - 1.
        dropout_layer: Config of the dropout of the whole branch.
        pad_small_map: Pad a map smaller than a window, and shift in a map of one window; otherwise a smaller map is
            an error, and nothing is shifted where there is one window.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`WindowMSA`.
    """

    window_class: ClassVar[type[Any]] = WindowMSA
    """The attention within a window; a subclass may have another."""

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int,
        shift_size: int = 0,
        dropout_layer: Mapping[str, Any] | None = None,
        pad_small_map: bool = False,
        init_cfg: InitCfg = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        if not 0 <= shift_size < window_size:
            raise ValueError(f'shift_size={shift_size} must lie in [0, window_size={window_size})')
        self.shift_size, self.window_size, self.pad_small_map = shift_size, window_size, pad_small_map
        self.w_msa = self.window_class(embed_dims, window_size, num_heads, **kwargs)
        self.drop = build_dropout(dropout_layer)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Attend within windows.

        Args:
            tokens_nlc: A map of L = H * W places, ``(N, L, C)``.
            hw_shape: (H, W).

        Returns:
            A tensor of the same shape.

        Raises:
            ValueError: The map is smaller than a window.
        """
        height, width = hw_shape
        side = self.window_size
        shift = self._shift_for(min(height, width))
        x_nhwc = F.pad(tokens_nlc.unflatten(1, hw_shape), (0, 0, 0, -width % side, 0, -height % side))
        padded = (x_nhwc.shape[1], x_nhwc.shape[2])
        mask = None
        if shift:
            x_nhwc = x_nhwc.roll((-shift, -shift), dims=(1, 2))
            mask = shift_mask(padded, side, shift, x_nhwc.device)
        windows = self.w_msa(window_partition(x_nhwc, side).flatten(1, 2), mask)
        x_nhwc = window_reverse(windows, padded, side)
        if shift:
            x_nhwc = x_nhwc.roll((shift, shift), dims=(1, 2))
        return self.drop(x_nhwc[:, :height, :width].flatten(1, 2))

    def _shift_for(self, shorter_side: int) -> int:
        if self.pad_small_map or shorter_side > self.window_size:
            return self.shift_size
        if shorter_side == self.window_size:
            return 0
        raise ValueError(
            f'a map with a side of {shorter_side} is smaller than window_size={self.window_size}: '
            'set pad_small_map=True, or use a smaller window or a larger image'
        )


def window_partition(x_nhwc: Tensor, side: int) -> Tensor:
    """Cut maps ``(N, H, W, C)`` into windows ``(N * M, side, side, C)``."""
    grid = x_nhwc.unflatten(2, (-1, side)).unflatten(1, (-1, side))
    return grid.transpose(2, 3).flatten(0, 2)


def window_reverse(windows_nlc: Tensor, hw_shape: tuple[int, int], side: int) -> Tensor:
    """Put windows ``(N * M, side * side, C)`` together to maps ``(N, H, W, C)``."""
    rows, columns = hw_shape[0] // side, hw_shape[1] // side
    grid = windows_nlc.unflatten(0, (-1, rows, columns)).unflatten(3, (side, side))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def shift_mask(hw_shape: tuple[int, int], side: int, shift: int, device: torch.device) -> Tensor:
    """-100 between places that lie side by side only because of the shift, else 0; ``(M, L, L)`` for L = side ** 2."""
    bands = [_bands(size, side, shift, device) for size in hw_shape]
    region_1hw1 = (bands[0][:, None] * 3 + bands[1][None, :])[None, :, :, None]
    region_ml = window_partition(region_1hw1, side).flatten(1)
    apart_mll = region_ml[:, None, :] != region_ml[:, :, None]
    return torch.zeros(apart_mll.shape, device=device).masked_fill_(apart_mll, -100.0)


def _bands(size: int, side: int, shift: int, device: torch.device) -> Tensor:
    """0, 1 or 2 for every place of an axis: before the last window, its part that stays, its part that came around."""
    place = torch.arange(size, device=device)
    return (place >= size - side).long() + (place >= size - shift).long()
