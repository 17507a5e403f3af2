"""The vision transformer of clips that VideoMAE trains.

Shape suffixes: n clips, l tokens, c channels, t frames, h rows, w columns of patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, init_from
from intarsia.nn.attention import split_heads
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.ffn import FFN
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.tasks.action.backbones.patch_embed3d import PatchEmbed3D

LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class KeylessBiasAttention(BaseModule):
    """Self-attention whose queries and values have a bias, but not the keys.

    State keys: ``q_bias``, ``v_bias``, ``qkv``, ``proj``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        qkv_bias: Whether there is a bias at all.
        qk_scale: Factor of the scores; by default one over the square root of the channels of a head.
        attn_drop: Dropout of the weights.
        proj_drop: Dropout of the output.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_heads, self.scale, self.attn_drop = num_heads, qk_scale, attn_drop
        self.q_bias = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.v_bias = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=False)
        self.proj, self.proj_drop = nn.Linear(embed_dims, embed_dims), nn.Dropout(proj_drop)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        query, key, value = split_heads(F.linear(tokens_nlc, self.qkv.weight, bias), self.num_heads)
        drop = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=drop, scale=self.scale)
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))


class ViTBlock(BaseModule):
    """Attention, then a feed-forward network, each on normalized tokens and added to them.

    State keys: ``norm1``, ``attn``, ``norm2``, ``mlp``, ``gamma_1``, ``gamma_2``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        mlp_ratio: Channels inside the feed-forward network divided by C.
        drop_rate: Dropout after linear layers.
        drop_path: Probability that a sample goes without a branch.
        init_values: First value of a factor per channel of each branch; 0 for no factor.
        norm_cfg: Config of the normalizations.
        attention: Further arguments of :class:`KeylessBiasAttention`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        mlp_ratio: float,
        drop_rate: float,
        drop_path: float,
        init_values: float,
        norm_cfg: Mapping[str, Any],
        **attention: Any,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = KeylessBiasAttention(embed_dims, num_heads, proj_drop=drop_rate, **attention)
        self.drop_path = path_or_identity(drop_path)
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        hidden = int(embed_dims * mlp_ratio)
        self.mlp = FFN(embed_dims, hidden, act_cfg=GELU, ffn_drop=drop_rate, add_identity=False)
        self.gamma_1, self.gamma_2 = (
            nn.Parameter(torch.full((embed_dims,), init_values)) if init_values > 0 else None for _ in range(2)
        )

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        branch = self.attn(self.norm1(tokens_nlc))
        tokens_nlc = tokens_nlc + self.drop_path(branch if self.gamma_1 is None else self.gamma_1 * branch)
        branch = self.mlp(self.norm2(tokens_nlc))
        return tokens_nlc + self.drop_path(branch if self.gamma_2 is None else self.gamma_2 * branch)


def sinusoids(num_places: int, channels: int) -> Tensor:
    """Fixed encodings ``(1, L, C)`` of places: sines and cosines of L numbers, "Attention Is All You Need"."""
    even_c = torch.arange(channels, dtype=torch.float64) // 2 * 2
    angle_lc = torch.arange(num_places)[:, None] * 10000.0 ** (-even_c / channels)[None]
    table_lc = torch.where(torch.arange(channels) % 2 == 0, angle_lc.sin(), angle_lc.cos())
    return table_lc.float().unsqueeze(0)


@BACKBONES.register_module()
class VisionTransformer(Backbone):
    """Transformer over the patches of a clip.

    "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training" (Tong et al.,
    2022, arXiv:2203.12602). State keys: ``pos_embed``, ``patch_embed.projection``, ``blocks``, ``fc_norm`` or ``norm``.

    Args:
        img_size: Usual side of a frame in pixels; encodings of places are interpolated for others.
        patch_size: Side of a patch in pixels.
        in_channels: Channels of the clip.
        embed_dims: Channels C of the tokens.
        depth: Number of blocks.
        num_heads: Number of heads.
        mlp_ratio: Channels inside the feed-forward networks divided by C.
        qkv_bias: Whether queries and values have a bias.
        qk_scale: Factor of the scores; by default one over the square root of the channels of a head.
        drop_rate: Dropout of tokens and after linear layers.
        attn_drop_rate: Dropout of the weights of attention.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        norm_cfg: Config of the normalizations.
        init_values: First value of a factor per channel of each branch; 0 for no factor.
        use_learnable_pos_emb: Whether encodings of places are learned, and not sines.
        num_frames: Usual number of frames of a clip.
        tubelet_size: Frames of a patch.
        use_mean_pooling: Whether the feature is the mean of all tokens, normalized, and not the first one.
        pretrained: Weights to start from.
        return_feat_map: Whether the feature is the map of all tokens.
        init_cfg: How weights are initialized.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02, 'bias': 0.0},
        {'type': 'Constant', 'layer': 'LayerNorm', 'val': 1.0, 'bias': 0.0},
    )

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        init_values: float = 0.0,
        use_learnable_pos_emb: bool = False,
        num_frames: int = 16,
        tubelet_size: int = 2,
        use_mean_pooling: bool = True,
        pretrained: str | None = None,
        return_feat_map: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg if pretrained is None else init_from(pretrained, None))
        self.return_feat_map, grid = return_feat_map, img_size // patch_size
        self.grid = (grid, grid)
        patch = (tubelet_size, patch_size, patch_size)
        self.patch_embed = PatchEmbed3D(in_channels, embed_dims, kernel_size=patch, stride=patch)
        num_places = grid**2 * (num_frames // tubelet_size)
        self.pos_embed: Tensor
        if use_learnable_pos_emb:
            self.pos_embed = nn.Parameter(torch.zeros(1, num_places, embed_dims))
        else:
            self.register_buffer('pos_embed', sinusoids(num_places, embed_dims))
        self.pos_drop = nn.Dropout(drop_rate)
        options: dict[str, Any] = {
            'qkv_bias': qkv_bias, 'qk_scale': qk_scale, 'attn_drop': attn_drop_rate, 'norm_cfg': norm_cfg,
            'init_values': init_values, 'mlp_ratio': mlp_ratio, 'drop_rate': drop_rate,
        }  # fmt: skip
        self.blocks = nn.ModuleList(
            ViTBlock(embed_dims, num_heads, drop_path=rate, **options) for rate in decay_rule(drop_path_rate, depth)
        )
        self.norm = nn.Identity() if use_mean_pooling else build_norm_layer(norm_cfg, embed_dims)[1]
        self.fc_norm = build_norm_layer(norm_cfg, embed_dims)[1] if use_mean_pooling else None
        self.out_channels, self.strides = (embed_dims,), (patch_size if return_feat_map else 0,)

    def init_own_weights(self) -> None:
        """Truncated normal encodings of places, if they are learned."""
        if isinstance(self.pos_embed, nn.Parameter):
            trunc_normal_(self.pos_embed, std=0.02)

    def _places(self, grid: tuple[int, int]) -> Tensor:
        """Encodings ``(1, T * H * W, C)`` of a map of this size."""
        if grid == self.grid:
            return self.pos_embed
        maps_tchw = self.pos_embed[0].unflatten(0, (-1, *self.grid)).permute(0, 3, 1, 2)
        resized_tchw = F.interpolate(maps_tchw.float(), size=grid, mode='bicubic', align_corners=False)
        return resized_tchw.to(self.pos_embed.dtype).permute(0, 2, 3, 1).flatten(0, 2).unsqueeze(0)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The feature ``(N, C)`` of each clip ``(N, in_channels, T, H, W)``, or the map ``(N, C, T', H', W')``."""
        tokens_nthwc = self.patch_embed(x)
        size = tokens_nthwc.shape[1:4]
        tokens_nlc = self.pos_drop(tokens_nthwc.flatten(1, 3) + self._places((size[1], size[2])))
        for block in self.blocks:
            tokens_nlc = block(tokens_nlc)
        tokens_nlc = self.norm(tokens_nlc)
        if self.return_feat_map:
            return (tokens_nlc.transpose(1, 2).unflatten(2, size),)
        return (tokens_nlc[:, 0] if self.fc_norm is None else self.fc_norm(tokens_nlc.mean(1)),)
