"""Blocks of the Swin transformer of clips.

Shape suffixes: n clips, t frames, h rows, w columns of tokens, c channels; x windows, l tokens of a window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from intarsia.nn.activation import build_activation_layer
from intarsia.nn.drop import build_dropout
from intarsia.nn.init import trunc_normal_
from intarsia.nn.norm import build_norm_layer

Triple = tuple[int, int, int]

OTHER_REGION = -100.0
"""Added to the score of a pair of tokens that only the shift brought into one window."""


def relative_index(window: Triple) -> Tensor:
    """Row of the table of biases for every pair of tokens of a window, int64 ``(L, L)``."""
    place_l3 = torch.cartesian_prod(*[torch.arange(size) for size in window])
    offset_ll3 = place_l3[:, None] - place_l3[None] + torch.tensor(window) - 1
    rows, columns = 2 * window[1] - 1, 2 * window[2] - 1
    return offset_ll3 @ torch.tensor([rows * columns, columns, 1])


def partition(x_nthwc: Tensor, window: Triple) -> Tensor:
    """Windows ``(N, X, L, C)`` of maps whose sizes are multiples of the window's."""
    n, t, h, w, c = x_nthwc.shape
    split = x_nthwc.view(n, t // window[0], window[0], h // window[1], window[1], w // window[2], window[2], c)
    return split.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(1, 3)


def join(windows_nxlc: Tensor, window: Triple, size: Sequence[int]) -> Tensor:
    """Maps ``(N, *size, C)`` of their windows."""
    counts = [whole // part for whole, part in zip(size, window, strict=True)]
    split = windows_nxlc.reshape(len(windows_nxlc), *counts, *window, windows_nxlc.shape[-1])
    return split.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(len(windows_nxlc), *size, windows_nxlc.shape[-1])


def shift_mask(size: Sequence[int], window: Triple, shift: Triple, device: torch.device) -> Tensor:
    """What to add to scores in shifted windows, so that what the shift brought together stays apart; ``(X, L, L)``."""
    region = torch.zeros(1, *size, 1, device=device)
    for axis, (whole, part, by) in enumerate(zip(size, window, shift, strict=True), start=1):
        place = torch.arange(whole, device=device)
        own = (place >= whole - part).int() + (place >= whole - by).int() if by else torch.zeros_like(place)
        region += (own * 3**axis).view([-1 if i == axis else 1 for i in range(5)])
    region_xl = partition(region, window)[0, :, :, 0]
    return (region_xl[:, :, None] != region_xl[:, None]).float() * OTHER_REGION


class WindowAttention3D(nn.Module):
    """Attention within windows, with a bias for every offset of two tokens.

    State keys: ``relative_position_bias_table``, ``relative_position_index``, ``qkv``, ``proj``.

    Args:
        embed_dims: Channels C.
        window_size: Largest window, ``(t, h, w)``.
        num_heads: Number of heads.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the scores; by default one over the square root of the channels of a head.
        attn_drop: Dropout of the weights.
        proj_drop: Dropout of the output.
    """

    relative_position_index: Tensor

    def __init__(
        self,
        embed_dims: int,
        window_size: Triple,
        num_heads: int,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_heads, self.attn_drop, self.scale = num_heads, attn_drop, qk_scale
        offsets = [2 * size - 1 for size in window_size]
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets[0] * offsets[1] * offsets[2], num_heads))
        self.register_buffer('relative_position_index', relative_index(window_size))
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.proj, self.proj_drop = nn.Linear(embed_dims, embed_dims), nn.Dropout(proj_drop)
        trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, windows_nxlc: Tensor, mask_xll: Tensor | None = None) -> Tensor:
        """Windows in and out; the mask is added to the scores."""
        num = windows_nxlc.shape[2]
        qkv = self.qkv(windows_nxlc).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.transpose(2, 4).unbind(3)
        # A smaller window takes the offsets of the first tokens of a full one: so were released weights trained.
        index_ll = self.relative_position_index[:num, :num]
        bias = self.relative_position_bias_table[index_ll].permute(2, 0, 1).unsqueeze(0)
        bias = bias if mask_xll is None else bias + mask_xll.unsqueeze(1)
        drop = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, bias.to(query.dtype), drop, scale=self.scale)
        return self.proj_drop(self.proj(out.transpose(2, 3).flatten(3)))


class Mlp(nn.Module):
    """Two linear layers. State keys: ``fc1``, ``fc2``."""

    def __init__(self, channels: int, hidden: int, act_cfg: Mapping[str, Any], drop: float = 0.0) -> None:
        super().__init__()
        self.fc1, self.act = nn.Linear(channels, hidden), build_activation_layer(act_cfg)
        self.fc2, self.drop = nn.Linear(hidden, channels), nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., C)`` in and out."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class SwinTransformerBlock3D(nn.Module):
    """Attention within windows, then two linear layers, each on normalized tokens and added to them.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        window_size: Largest window.
        shifted: Whether the windows are shifted by half their size.
        mlp_ratio: Channels between the linear layers divided by C.
        drop: Dropout of outputs.
        drop_path: Probability that a sample goes without a branch.
        act_cfg: Config of the activation.
        norm_cfg: Config of the normalizations.
        with_cp: Compute activations again in the backward pass, to save memory.
        attention: Further arguments of :class:`WindowAttention3D`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: Triple,
        shifted: bool,
        mlp_ratio: float,
        drop: float,
        drop_path: float,
        act_cfg: Mapping[str, Any],
        norm_cfg: Mapping[str, Any],
        with_cp: bool,
        **attention: Any,
    ) -> None:
        super().__init__()
        self.window_size, self.shifted, self.with_cp = window_size, shifted, with_cp
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = WindowAttention3D(embed_dims, window_size, num_heads, proj_drop=drop, **attention)
        self.drop_path = build_dropout({'type': 'DropPath', 'drop_prob': drop_path} if drop_path > 0 else None)
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.mlp = Mlp(embed_dims, int(embed_dims * mlp_ratio), act_cfg, drop)

    def attend(self, x_nthwc: Tensor) -> Tensor:
        """What tokens get from those of their window; windows are not larger than the map."""
        size = x_nthwc.shape[1:4]
        window = cast('Triple', tuple(min(whole, part) for whole, part in zip(size, self.window_size, strict=True)))
        fits = [whole > part for whole, part in zip(size, self.window_size, strict=True)]
        half = [part // 2 if self.shifted and more else 0 for part, more in zip(self.window_size, fits, strict=True)]
        shift = cast('Triple', tuple(half))
        t, h, w = (-whole % part for whole, part in zip(size, window, strict=True))
        x = F.pad(self.norm1(x_nthwc), (0, 0, 0, w, 0, h, 0, t))
        padded = x.shape[1:4]
        if any(shift):
            x = x.roll([-by for by in shift], dims=(1, 2, 3))
        mask_xll = shift_mask(padded, window, shift, x.device) if any(shift) else None
        x = join(self.attn(partition(x.contiguous(), window), mask_xll), window, padded)
        if any(shift):
            x = x.roll(shift, dims=(1, 2, 3))
        return x[:, : size[0], : size[1], : size[2]]

    def _sum(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attend(x))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def forward(self, x_nthwc: Tensor) -> Tensor:
        """Maps of tokens in and out."""
        if self.with_cp and x_nthwc.requires_grad:
            return checkpoint(self._sum, x_nthwc, use_reentrant=False)
        return self._sum(x_nthwc)
