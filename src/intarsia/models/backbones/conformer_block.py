"""Blocks of Conformer: convolutions and attention side by side.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.models.backbones.mit import to_map, to_tokens
from intarsia.models.backbones.transformer_layer import TransformerEncoderLayer
from intarsia.nn.drop import path_or_identity
from intarsia.nn.module import BaseModule
from intarsia.nn.norm import build_norm_layer

BN_EPS6: Mapping[str, Any] = {'type': 'BN', 'eps': 1e-6}
LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
EXPANSION = 4


class ConvBlock(BaseModule):
    """A bottleneck of three convolutions; features of the tokens may be added before the second.

    State keys: ``conv1`` ... ``bn3``, and ``residual_conv`` and ``residual_bn`` if there are any.

    Args:
        in_channels: Input channels.
        out_channels: Output channels C; inside there is a quarter of them.
        stride: Stride of the second convolution.
        drop_path_rate: Probability that a sample goes without the branch.
        with_residual_conv: Project what the branch is added to.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        drop_path_rate: float = 0.0,
        with_residual_conv: bool = False,
    ) -> None:
        super().__init__()
        inside = out_channels // EXPANSION
        self.conv1 = nn.Conv2d(in_channels, inside, 1, bias=False)
        self.bn1 = build_norm_layer(BN_EPS6, inside)[1]
        self.conv2 = nn.Conv2d(inside, inside, 3, stride, padding=1, bias=False)
        self.bn2 = build_norm_layer(BN_EPS6, inside)[1]
        self.conv3 = nn.Conv2d(inside, out_channels, 1, bias=False)
        self.bn3 = build_norm_layer(BN_EPS6, out_channels)[1]
        self.act = nn.ReLU(inplace=True)
        self.with_residual_conv = with_residual_conv
        if with_residual_conv:
            self.residual_conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.residual_bn = build_norm_layer(BN_EPS6, out_channels)[1]
        self.drop_path = path_or_identity(drop_path_rate)

    def forward(self, x_nchw: Tensor, fused_nchw: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the block.

        Args:
            x_nchw: ``(N, in_channels, H, W)``.
            fused_nchw: Features that are added inside, ``(N, C / 4, H, W)``.

        Returns:
            ``(N, C, H / stride, W / stride)``, and what the second convolution gives, with a quarter of the channels.
        """
        inside_nchw = self.act(self.bn1(self.conv1(x_nchw)))
        if fused_nchw is not None:
            inside_nchw = inside_nchw + fused_nchw
        inside_nchw = self.act(self.bn2(self.conv2(inside_nchw)))
        identity = self.residual_bn(self.residual_conv(x_nchw)) if self.with_residual_conv else x_nchw
        return self.act(self.drop_path(self.bn3(self.conv3(inside_nchw))) + identity), inside_nchw


class FCUDown(BaseModule):
    """A map becomes tokens.

    Args:
        in_channels: Channels of the map.
        out_channels: Channels C of the tokens.
        down_stride: Side of the neighbourhoods of which means are taken.
        with_cls_token: Put the class token of other tokens before them.
    """

    def __init__(self, in_channels: int, out_channels: int, down_stride: int, with_cls_token: bool = True) -> None:
        super().__init__()
        self.with_cls_token = with_cls_token
        self.conv_project = nn.Conv2d(in_channels, out_channels, 1)
        self.sample_pooling = nn.AvgPool2d(down_stride, down_stride)
        self.ln = build_norm_layer(LN_EPS6, out_channels)[1]
        self.act = nn.GELU()

    def forward(self, x_nchw: Tensor, tokens_nlc: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to the shape of the tokens ``(N, L, C)``."""
        made_nlc = self.act(self.ln(to_tokens(self.sample_pooling(self.conv_project(x_nchw)))))
        return torch.cat((tokens_nlc[:, :1], made_nlc), dim=1) if self.with_cls_token else made_nlc


class FCUUp(BaseModule):
    """Tokens become a map.

    Args:
        in_channels: Channels of the tokens.
        out_channels: Channels C of the map.
        up_stride: By how much the map is larger than the grid of tokens.
        with_cls_token: Whether the first token is a class token, which is left out.
    """

    def __init__(self, in_channels: int, out_channels: int, up_stride: int, with_cls_token: bool = True) -> None:
        super().__init__()
        self.up_stride, self.with_cls_token = up_stride, with_cls_token
        self.conv_project = nn.Conv2d(in_channels, out_channels, 1)
        self.bn = build_norm_layer(BN_EPS6, out_channels)[1]
        self.act = nn.ReLU(inplace=True)

    def forward(self, tokens_nlc: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens ``(N, L, in_channels)`` of a grid to ``(N, C, rows * up_stride, columns * up_stride)``."""
        x_nchw = to_map(tokens_nlc[:, 1:] if self.with_cls_token else tokens_nlc, grid)
        x_nchw = self.act(self.bn(self.conv_project(x_nchw)))
        return F.interpolate(x_nchw, size=(grid[0] * self.up_stride, grid[1] * self.up_stride))


class ConvTransBlock(BaseModule):
    """A block of convolutions and a transformer layer, each with what the other found.

    State keys: ``cnn_block``, ``squeeze_block``, ``trans_block``, ``expand_block``, ``fusion_block``.

    Args:
        in_channels: Channels of the map before.
        out_channels: Channels of the map after.
        embed_dims: Channels of the tokens.
        conv_stride: Stride of the first convolutions.
        with_residual_conv: Project what the first convolutions are added to.
        down_stride: Side of the map after the first convolutions divided by that of the grid of tokens.
        num_heads: Number of heads.
        mlp_ratio: Channels inside the feed-forward network divided by those of the tokens.
        qkv_bias: Whether queries, keys and values have a bias.
        with_cls_token: Whether there is a class token.
        drop_path_rate: Probability that a sample goes without a branch.
        last_fusion: Halve the resolution at the end.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embed_dims: int,
        conv_stride: int = 1,
        with_residual_conv: bool = False,
        down_stride: int = 4,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        with_cls_token: bool = True,
        drop_path_rate: float = 0.0,
        last_fusion: bool = False,
    ) -> None:
        super().__init__()
        inside = out_channels // EXPANSION
        self.down_stride = down_stride
        self.cnn_block = ConvBlock(in_channels, out_channels, conv_stride, with_residual_conv=with_residual_conv)
        self.fusion_block = ConvBlock(
            out_channels, out_channels, 2 if last_fusion else 1, drop_path_rate, with_residual_conv=last_fusion
        )
        self.squeeze_block = FCUDown(inside, embed_dims, down_stride, with_cls_token)
        self.expand_block = FCUUp(embed_dims, inside, down_stride, with_cls_token)
        self.trans_block = TransformerEncoderLayer(
            embed_dims, num_heads, int(embed_dims * mlp_ratio), drop_path_rate=drop_path_rate, qkv_bias=qkv_bias,
            norm_cfg=LN_EPS6,
        )  # fmt: skip

    def forward(self, x_nchw: Tensor, tokens_nlc: Tensor) -> tuple[Tensor, Tensor]:
        """A map ``(N, in_channels, H, W)`` and tokens ``(N, L, embed_dims)`` to those after the block."""
        x_nchw, inside_nchw = self.cnn_block(x_nchw)
        tokens_nlc = self.trans_block(self.squeeze_block(inside_nchw, tokens_nlc) + tokens_nlc)
        grid = (inside_nchw.shape[2] // self.down_stride, inside_nchw.shape[3] // self.down_stride)
        return self.fusion_block(x_nchw, self.expand_block(tokens_nlc, grid))[0], tokens_nlc
