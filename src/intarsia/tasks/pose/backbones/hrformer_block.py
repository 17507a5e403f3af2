"""The block of HRFormer.

Shape suffixes: n samples, l tokens, c channels, h height, w width, m windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from intarsia.nn.activation import build_activation_layer
from intarsia.nn.attention import WindowMSA, window_partition, window_reverse
from intarsia.nn.drop import path_or_identity
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN'}
LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class LocalWindowSelfAttention(nn.Module):
    """Attention within windows that lie centred on the map.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        window_size: Side of a window.
        with_pad_mask: Do not attend to what lies outside of the map, where it is padded on both axes.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_size: int, with_pad_mask: bool = False) -> None:
        super().__init__()
        self.window_size, self.with_pad_mask = window_size, with_pad_mask
        self.attn = WindowMSA(embed_dims, window_size, num_heads)

    def forward(self, x_nhwc: Tensor) -> Tensor:
        """``(N, H, W, C)`` in and out."""
        height, width = x_nhwc.shape[1:3]
        side = self.window_size
        pad_h, pad_w = -height % side, -width % side
        pads = (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2)
        padded_nhwc = F.pad(x_nhwc, (0, 0, *pads))
        mask_mll = None
        if self.with_pad_mask and pad_h and pad_w:  # on one axis alone, checkpoints were trained without a mask
            outside_1hw1 = F.pad(x_nhwc.new_zeros(1, height, width, 1), (0, 0, *pads), value=-torch.inf)
            mask_mll = window_partition(outside_1hw1, side).flatten(1)[:, None, :].expand(-1, side * side, -1)
        windows = self.attn(window_partition(padded_nhwc, side).flatten(1, 2), mask_mll)
        out_nhwc = window_reverse(windows, (height + pad_h, width + pad_w), side)
        return out_nhwc[:, pads[2] : pads[2] + height, pads[0] : pads[0] + width]


class CrossFFN(nn.Module):
    """Feed-forward network with a 3 x 3 convolution of every channel inside, which lets windows exchange.

    State keys: ``fc1``, ``norm1``, ``dw3x3``, ``norm2``, ``fc2``, ``norm3``.

    Args:
        channels: Channels C.
        hidden: Channels inside.
        norm_cfg: Config of the normalization after each convolution.
        act_cfg: Config of the activation after each normalization.
    """

    def __init__(
        self, channels: int, hidden: int, norm_cfg: Mapping[str, Any] = BN, act_cfg: Mapping[str, Any] = GELU
    ) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.norm1 = build_norm_layer(norm_cfg, hidden)[1]
        self.dw3x3 = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.norm2 = build_norm_layer(norm_cfg, hidden)[1]
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.norm3 = build_norm_layer(norm_cfg, channels)[1]
        self.act = build_activation_layer(act_cfg)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        x_nchw = self.act(self.norm1(self.fc1(x_nchw)))
        x_nchw = self.act(self.norm2(self.dw3x3(x_nchw)))
        return self.act(self.norm3(self.fc2(x_nchw)))


class HRFormerBlock(nn.Module):
    """Attention within windows, then a feed-forward network, each on normalized tokens and added to them.

    Args:
        channels: Channels C.
        num_heads: Number of heads.
        window_size: Side of a window.
        mlp_ratio: Channels inside the feed-forward network divided by C.
        drop_path: Probability that a sample goes without a branch.
        with_pad_mask: As :class:`LocalWindowSelfAttention` takes it.
        norm_cfg: Config of the normalizations of the feed-forward network.
        transformer_norm_cfg: Config of the normalizations of tokens.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    default_expansion = 1

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        with_pad_mask: bool = False,
        norm_cfg: Mapping[str, Any] = BN,
        transformer_norm_cfg: Mapping[str, Any] = LN_EPS6,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.norm1 = build_norm_layer(transformer_norm_cfg, channels)[1]
        self.attn = LocalWindowSelfAttention(channels, num_heads, window_size, with_pad_mask)
        self.norm2 = build_norm_layer(transformer_norm_cfg, channels)[1]
        self.ffn = CrossFFN(channels, int(channels * mlp_ratio), norm_cfg)
        self.drop_path = path_or_identity(drop_path)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        if self.with_cp and x_nchw.requires_grad:
            return checkpoint(self._sum, x_nchw, use_reentrant=False)
        return self._sum(x_nchw)

    def _sum(self, x_nchw: Tensor) -> Tensor:
        x_nhwc = x_nchw.permute(0, 2, 3, 1)
        x_nhwc = x_nhwc + self.drop_path(self.attn(self.norm1(x_nhwc)))
        normed_nchw = self.norm2(x_nhwc).permute(0, 3, 1, 2)
        return (x_nhwc.permute(0, 3, 1, 2) + self.drop_path(self.ffn(normed_nchw))).contiguous()
