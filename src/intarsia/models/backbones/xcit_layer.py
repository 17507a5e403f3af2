"""The layers of XCiT.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.models.backbones.mit import to_map, to_tokens
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.drop import path_or_identity
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule, Sequential
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN'}
LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class ConvPatchEmbed(BaseModule):
    """Tokens of patches by convolutions that each halve the resolution.

    Args:
        patch_size: Size of a patch, 8 or 16.
        in_channels: Channels of the image.
        embed_dims: Channels C of the tokens.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations; the last convolution has none.

    Raises:
        ValueError: Another size of patch.
    """

    def __init__(
        self,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = GELU,
    ) -> None:
        super().__init__()
        if patch_size not in (8, 16):
            raise ValueError(f'ConvPatchEmbed: patch_size must be 8 or 16, not {patch_size}')
        parts = (8, 4, 2, 1) if patch_size == 16 else (4, 2, 1)
        widths = [in_channels, *(embed_dims // part for part in parts)]
        acts = [*([act_cfg] * (len(parts) - 1)), None]
        shared: dict[str, Any] = {'kernel_size': 3, 'stride': 2, 'padding': 1, 'norm_cfg': norm_cfg}
        self.proj = Sequential(
            *(ConvModule(*width, act_cfg=act, **shared) for width, act in zip(pairwise(widths), acts, strict=True))
        )

    def forward(self, image_nchw: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """``(N, in_channels, H, W)`` to tokens ``(N, L, C)`` and their (rows, columns)."""
        x_nchw = self.proj(image_nchw)
        return to_tokens(x_nchw), (x_nchw.shape[2], x_nchw.shape[3])


class PositionalEncodingFourier(BaseModule):
    """Sines and cosines of rows and columns, projected to the channels of tokens.

    Args:
        dim: Channels C of the tokens.
        hidden_dim: Sines and cosines of each axis.
        temperature: Ratio of the longest and the shortest wave.
    """

    def __init__(self, dim: int = 768, hidden_dim: int = 32, temperature: int = 10000) -> None:
        super().__init__()
        self.token_projection = ConvModule(hidden_dim * 2, dim, 1, act_cfg=None)
        self.hidden_dim, self.temperature = hidden_dim, temperature

    def forward(self, hw_shape: tuple[int, int]) -> Tensor:
        """Encodings of the places of a map (H, W), ``(1, H * W, C)``."""
        height, width = hw_shape
        y_hc, x_wc = self._waves(height), self._waves(width)
        waves_hwc = torch.cat((y_hc[:, None].expand(-1, width, -1), x_wc[None].expand(height, -1, -1)), dim=-1)
        return to_tokens(self.token_projection(waves_hwc.permute(2, 0, 1).unsqueeze(0)))

    def _waves(self, size: int) -> Tensor:
        """Sines and cosines in turn of the places of an axis, ``(size, hidden_dim)``."""
        device = self.token_projection.conv.weight.device
        place_l = torch.arange(1, size + 1, device=device, dtype=torch.float32) / (size + 1e-6) * (2 * math.pi)
        pair_c = torch.arange(self.hidden_dim, device=device, dtype=torch.float32).div(2, rounding_mode='floor')
        angle_lc = place_l[:, None] / self.temperature ** (2 * pair_c / self.hidden_dim)
        return torch.stack((angle_lc[:, 0::2].sin(), angle_lc[:, 1::2].cos()), dim=-1).flatten(1)


class CrossCovarianceAttention(BaseModule):
    """Attention between channels: the scores are cosines of what channels hold over all tokens.

    Args:
        dim: Channels C.
        num_heads: Number of heads; channels of different heads do not meet.
        qkv_bias: Whether queries, keys and values have a bias.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
    """

    def __init__(
        self, dim: int, num_heads: int = 8, qkv_bias: bool = False, attn_drop: float = 0.0, proj_drop: float = 0.0
    ) -> None:
        super().__init__()
        self.num_heads, self.attn_drop = num_heads, attn_drop
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        qkv = self.qkv(tokens_nlc).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 4, 1)
        query, key, value = qkv.unbind(0)
        query, key = F.normalize(query, dim=-1) * self.temperature, F.normalize(key, dim=-1)
        drop = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=drop, scale=1.0)
        return self.proj_drop(self.proj(out.permute(0, 3, 1, 2).flatten(2)))


class LocalPatchInteraction(BaseModule):
    """Two 3 x 3 convolutions of every channel by itself.

    Args:
        dim: Channels C.
        norm_cfg: Config of the normalization, after the activation.
        act_cfg: Config of the activation.
    """

    def __init__(self, dim: int, norm_cfg: Mapping[str, Any] = BN, act_cfg: Mapping[str, Any] = GELU) -> None:
        super().__init__()
        shared: dict[str, Any] = {'kernel_size': 3, 'padding': 1, 'groups': dim, 'bias': True}
        order = ('conv', 'act', 'norm')
        self.conv1 = ConvModule(dim, dim, norm_cfg=norm_cfg, act_cfg=act_cfg, order=order, **shared)
        self.conv2 = ConvModule(dim, dim, act_cfg=None, **shared)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        return to_tokens(self.conv2(self.conv1(to_map(tokens_nlc, hw_shape))))


class XCABlock(BaseModule):
    """Attention between channels, local interaction and a feed-forward network, each scaled and added.

    Args:
        dim: Channels C.
        num_heads: Number of heads.
        mlp_ratio: Channels inside the feed-forward network divided by C.
        qkv_bias: Whether queries, keys and values have a bias.
        drop: Dropout after linear layers.
        attn_drop: Dropout of the attention weights.
        drop_path: Probability that a sample goes without a branch.
        layer_scale_init_value: First value of a factor per channel of each branch.
        bn_norm_cfg: Config of the normalization of the local interaction.
        norm_cfg: Config of the other normalizations.
        act_cfg: Config of the activations.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: float = 0.0,
        layer_scale_init_value: float = 1.0,
        bn_norm_cfg: Mapping[str, Any] = BN,
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        act_cfg: Mapping[str, Any] = GELU,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, dim)[1]
        self.attn = CrossCovarianceAttention(dim, num_heads, qkv_bias, attn_drop, drop)
        self.drop_path = path_or_identity(drop_path)
        self.norm3 = build_norm_layer(norm_cfg, dim)[1]
        self.local_mp = LocalPatchInteraction(dim, bn_norm_cfg, act_cfg)
        self.norm2 = build_norm_layer(norm_cfg, dim)[1]
        self.ffn = FFN(dim, int(dim * mlp_ratio), act_cfg=act_cfg, ffn_drop=drop, add_identity=False)
        self.gamma1 = nn.Parameter(torch.full((dim,), float(layer_scale_init_value)))
        self.gamma2 = nn.Parameter(torch.full((dim,), float(layer_scale_init_value)))
        self.gamma3 = nn.Parameter(torch.full((dim,), float(layer_scale_init_value)))

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        tokens_nlc = tokens_nlc + self.drop_path(self.gamma1 * self.attn(self.norm1(tokens_nlc)))
        tokens_nlc = tokens_nlc + self.drop_path(self.gamma3 * self.local_mp(self.norm3(tokens_nlc), hw_shape))
        return tokens_nlc + self.drop_path(self.gamma2 * self.ffn(self.norm2(tokens_nlc)))


class ClassAttention(BaseModule):
    """Attention of the class token, the first, to all tokens.

    Args:
        dim: Channels C.
        num_heads: Number of heads.
        qkv_bias: Whether queries, keys and values have a bias.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
    """

    def __init__(
        self, dim: int, num_heads: int = 8, qkv_bias: bool = False, attn_drop: float = 0.0, proj_drop: float = 0.0
    ) -> None:
        super().__init__()
        self.num_heads, self.attn_drop = num_heads, attn_drop
        self.q = nn.Linear(dim, dim, bias=qkv_bias)
        self.k = nn.Linear(dim, dim, bias=qkv_bias)
        self.v = nn.Linear(dim, dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` to the class token, ``(N, 1, C)``."""
        projected = (self.q(tokens_nlc[:, :1]), self.k(tokens_nlc), self.v(tokens_nlc))
        query, key, value = (each.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for each in projected)
        drop = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=drop)
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))


class ClassAttentionBlock(BaseModule):
    """Attention and a feed-forward network of the class token; the other tokens are only normalized and added.

    Args:
        dim: Channels C.
        num_heads: Number of heads.
        mlp_ratio: Channels inside the feed-forward network divided by C.
        qkv_bias: Whether queries, keys and values have a bias.
        drop: Dropout after linear layers.
        attn_drop: Dropout of the attention weights.
        layer_scale_init_value: First value of a factor per channel of each branch; 0 for no factors.
        tokens_norm: Normalize all tokens before the feed-forward network, not the class token alone.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activation.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        layer_scale_init_value: float = 1.0,
        tokens_norm: bool = False,
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        act_cfg: Mapping[str, Any] = GELU,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, dim)[1]
        self.attn = ClassAttention(dim, num_heads, qkv_bias, attn_drop, drop)
        self.norm2 = build_norm_layer(norm_cfg, dim)[1]
        self.ffn = FFN(dim, int(dim * mlp_ratio), act_cfg=act_cfg, ffn_drop=drop, add_identity=False)
        scale, has_scale = torch.full((dim,), float(layer_scale_init_value)), layer_scale_init_value > 0
        self.gamma1 = nn.Parameter(scale.clone()) if has_scale else 1.0
        self.gamma2 = nn.Parameter(scale.clone()) if has_scale else 1.0
        self.tokens_norm = tokens_norm

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out, the class token first."""
        normed_nlc = self.norm1(tokens_nlc)
        attended_nlc = torch.cat((self.attn(normed_nlc), normed_nlc[:, 1:]), dim=1)
        tokens_nlc = tokens_nlc + self.gamma1 * attended_nlc
        if self.tokens_norm:
            tokens_nlc = self.norm2(tokens_nlc)
        else:
            tokens_nlc = torch.cat((self.norm2(tokens_nlc[:, :1]), tokens_nlc[:, 1:]), dim=1)
        class_n1c = self.gamma2 * self.ffn(tokens_nlc[:, :1])
        return tokens_nlc + torch.cat((class_n1c, tokens_nlc[:, 1:]), dim=1)
