"""Blocks of TinyViT.

Shape suffixes: n samples, l tokens, c channels, h height or heads (as the text says), w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.activation import build_activation_layer
from intarsia.nn.attention import window_partition, window_reverse
from intarsia.nn.drop import path_or_identity
from intarsia.nn.module import BaseModule

GELU: Mapping[str, Any] = {'type': 'GELU'}


class ConvBN2d(nn.Sequential):
    """A convolution without bias and a batch norm.

    State keys: ``conv2d``, ``bn2d``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Odd size of the kernel; the map is padded by half of it.
        stride: Stride.
        groups: Groups of channels.
        bn_weight_init: First value of the scales of the batch norm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        bn_weight_init: float = 1.0,
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
        self.add_module('conv2d', conv)
        norm = nn.BatchNorm2d(out_channels)
        nn.init.constant_(norm.weight, bn_weight_init)
        self.add_module('bn2d', norm)


class PatchEmbed(nn.Module):
    """Two convolutions that lower the resolution by 4.

    Args:
        in_channels: Channels of the image.
        embed_dim: Output channels.
    """

    def __init__(self, in_channels: int, embed_dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvBN2d(in_channels, embed_dim // 2, 3, stride=2),
            build_activation_layer(GELU),
            ConvBN2d(embed_dim // 2, embed_dim, 3, stride=2),
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, embed_dim, H / 4, W / 4)``."""
        return self.seq(x_nchw)


class PatchMerging(nn.Module):
    """Three convolutions that halve the resolution.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        act_cfg: Config of the activations.
    """

    def __init__(self, in_channels: int, out_channels: int, act_cfg: Mapping[str, Any] = GELU) -> None:
        super().__init__()
        self.act = build_activation_layer(act_cfg)
        self.conv1 = ConvBN2d(in_channels, out_channels)
        self.conv2 = ConvBN2d(out_channels, out_channels, 3, stride=2, groups=out_channels)
        self.conv3 = ConvBN2d(out_channels, out_channels)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / 2, W / 2)``."""
        return self.conv3(self.act(self.conv2(self.act(self.conv1(x_nchw)))))


class MBConvBlock(nn.Module):
    """Widen, filter, narrow; added to the input and activated. It starts as the activation alone.

    Args:
        channels: Channels C in and out.
        expand_ratio: Channels inside divided by C.
        drop_path: Probability that a sample goes without the branch.
    """

    def __init__(self, channels: int, expand_ratio: float, drop_path: float = 0.0) -> None:
        super().__init__()
        hidden = int(channels * expand_ratio)
        self.conv1 = ConvBN2d(channels, hidden)
        self.act = build_activation_layer(GELU)
        self.conv2 = ConvBN2d(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvBN2d(hidden, channels, bn_weight_init=0.0)
        self.drop_path = path_or_identity(drop_path)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        branch_nchw = self.conv3(self.act(self.conv2(self.act(self.conv1(x_nchw)))))
        return self.act(x_nchw + self.drop_path(branch_nchw))


class LeAttention(BaseModule):
    """Normalization, then self-attention with a learned bias for every distance of places.

    "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference" (Graham et al., 2021, arXiv:2104.01136).

    State keys: ``norm``, ``qkv``, ``proj``, ``attention_biases``.

    Args:
        dim: Channels C.
        num_heads: Number of heads; divides C.
        side: Rows and columns of places, L = side ** 2.

    Raises:
        ValueError: The heads do not divide the channels.
    """

    attention_bias_idxs: Tensor

    def __init__(self, dim: int, num_heads: int, side: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f'channels={dim} are not a multiple of num_heads={num_heads}')
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, side**2))
        y_l, x_l = torch.meshgrid(torch.arange(side), torch.arange(side), indexing='ij')
        dy_ll, dx_ll = ((place.flatten()[:, None] - place.flatten()[None]).abs() for place in (y_l, x_l))
        self.register_buffer('attention_bias_idxs', dy_ll * side + dx_ll, persistent=False)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        # The numbers of one head lie together: its queries, keys and values.
        heads = self.qkv(self.norm(tokens_nlc)).unflatten(-1, (self.num_heads, 3, -1))
        query, key, value = heads.permute(3, 0, 2, 1, 4).unbind(0)
        bias_hll = self.attention_biases[:, self.attention_bias_idxs]
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias_hll.to(query.dtype))
        return self.proj(out.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Normalization and a two-layer network.

    Args:
        channels: Channels C in and out.
        hidden_channels: Channels inside.
        act_cfg: Config of the activation.
        drop: Dropout after each layer.
    """

    def __init__(
        self, channels: int, hidden_channels: int, act_cfg: Mapping[str, Any] = GELU, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, hidden_channels)
        self.fc2 = nn.Linear(hidden_channels, channels)
        self.act = build_activation_layer(act_cfg)
        self.drop = nn.Dropout(drop)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(self.norm(tokens_nlc))))))


class TinyViTBlock(nn.Module):
    """Attention within windows, a filter of every channel, a two-layer network.

    State keys: ``attn``, ``mlp``, ``local_conv``.

    Args:
        channels: Channels C.
        num_heads: Number of heads.
        window_size: Side of a window.
        mlp_ratio: Channels inside the two-layer network divided by C.
        drop: Dropout in the two-layer network.
        drop_path: Probability that a sample goes without a branch.
        local_conv_size: Size of the filter.
        act_cfg: Config of the activation.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        drop: float = 0.0,
        drop_path: float = 0.0,
        local_conv_size: int = 3,
        act_cfg: Mapping[str, Any] = GELU,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.attn = LeAttention(channels, num_heads, window_size)
        self.drop_path = path_or_identity(drop_path)
        self.mlp = MLP(channels, int(channels * mlp_ratio), act_cfg, drop)
        self.local_conv = ConvBN2d(channels, channels, local_conv_size, groups=channels)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        height, width = x_nchw.shape[2:]
        side = self.window_size
        x_nhwc = F.pad(x_nchw, (0, -width % side, 0, -height % side)).permute(0, 2, 3, 1)
        windows = self.attn(window_partition(x_nhwc, side).flatten(1, 2))
        x_nhwc = window_reverse(windows, (x_nhwc.shape[1], x_nhwc.shape[2]), side)[:, :height, :width]
        x_nchw = self.local_conv(x_nchw + self.drop_path(x_nhwc.permute(0, 3, 1, 2)))
        tokens_nlc = x_nchw.flatten(2).transpose(1, 2)
        tokens_nlc = tokens_nlc + self.drop_path(self.mlp(tokens_nlc))
        return tokens_nlc.transpose(1, 2).unflatten(2, (height, width))
