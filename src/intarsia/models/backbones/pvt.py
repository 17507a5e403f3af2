"""Pyramid vision transformers.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, init_from, normalize_indices
from intarsia.models.backbones.mit import MixEncoderLayer, init_transformer_weights, to_map
from intarsia.models.backbones.pvt_released import convert_released
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import PatchEmbed, resize_pos_embed
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair

LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class PVTEncoderLayer(MixEncoderLayer):
    """Attention to a coarser map, then a feed-forward network, with or without a convolution inside.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        feedforward_channels: Channels inside the feed-forward network.
        use_conv_ffn: Whether it has a 3 x 3 convolution of every channel inside.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.mit.MixEncoderLayer`.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, feedforward_channels: int, use_conv_ffn: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(embed_dims, num_heads, feedforward_channels, **kwargs)
        if not use_conv_ffn:
            del self.ffn.layers[1]


class AbsolutePositionEmbedding(BaseModule):
    """Add a learned embedding of every place, interpolated to the size of the map.

    Args:
        grid: Rows and columns it is made for.
        embed_dims: Channels C.
        drop_rate: Dropout of the sum.
    """

    def __init__(self, grid: tuple[int, int], embed_dims: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.grid = grid
        self.pos_embed = nn.Parameter(torch.zeros(1, grid[0] * grid[1], embed_dims))
        self.drop = nn.Dropout(drop_rate)

    def init_own_weights(self) -> None:
        """Truncated normal embeddings."""
        trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        return self.drop(tokens_nlc + resize_pos_embed(self.pos_embed, self.grid, hw_shape, 'bilinear', 0))


@BACKBONES.register_module()
class PyramidVisionTransformer(Backbone):
    """Transformer at four resolutions that attends to maps of lower resolution.

    "Pyramid Vision Transformer: A Versatile Backbone for Dense Prediction without Convolutions" (Wang et al., 2021,
    arXiv:2102.12122).

    State keys: ``layers.{stage}.0`` (patches), ``layers.{stage}.1.{layer}`` (layer 0 is the position embedding, if
    there is one), ``layers.{stage}.2`` (normalization).

    Args:
        pretrain_img_size: Size of the images that position embeddings belong to, in pixels.
        in_channels: Channels of the image.
        embed_dims: Channels of a head; a stage has as many times more as it has heads.
        num_stages: Number of stages.
        num_layers: Layers of each stage.
        num_heads: Heads of each stage.
        patch_sizes: Size of a patch of each stage.
        strides: Distance between patches of each stage.
        paddings: Zeros on each side before patches are taken.
        sr_ratios: By how much height and width are divided before they are attended to.
        out_indices: Stages to output, from 0.
        mlp_ratios: Channels inside the feed-forward networks of each stage divided by those outside.
        qkv_bias: Whether the linear layers of the attention have a bias.
        drop_rate: Dropout after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        use_abs_pos_embed: Add position embeddings to the patches of each stage.
        norm_after_stage: Normalize the output of each stage.
        use_conv_ffn: Feed-forward networks with a 3 x 3 convolution of every channel inside.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        convert_weights: Whether weights in the form of the authors' release are converted while they are loaded.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: A sequence has not one number for each stage.
    """

    def __init__(
        self,
        pretrain_img_size: Pair = 224,
        in_channels: int = 3,
        embed_dims: int = 64,
        num_stages: int = 4,
        num_layers: Sequence[int] = (3, 4, 6, 3),
        num_heads: Sequence[int] = (1, 2, 5, 8),
        patch_sizes: Sequence[int] = (4, 2, 2, 2),
        strides: Sequence[int] = (4, 2, 2, 2),
        paddings: Sequence[int] = (0, 0, 0, 0),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        mlp_ratios: Sequence[int] = (8, 8, 4, 4),
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        use_abs_pos_embed: bool = True,
        norm_after_stage: bool = False,
        use_conv_ffn: bool = False,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        pretrained: str | None = None,
        convert_weights: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        self._check_stages(
            num_stages, num_layers=num_layers, num_heads=num_heads, patch_sizes=patch_sizes, strides=strides,
            paddings=paddings, sr_ratios=sr_ratios, mlp_ratios=mlp_ratios,
        )  # fmt: skip
        self.out_indices = normalize_indices(out_indices, num_stages, type(self).__name__)
        shared: dict[str, Any] = {
            'drop_rate': drop_rate, 'attn_drop_rate': attn_drop_rate, 'qkv_bias': qkv_bias, 'act_cfg': act_cfg,
            'norm_cfg': norm_cfg, 'use_conv_ffn': use_conv_ffn,
        }  # fmt: skip
        rates = iter(decay_rule(drop_path_rate, sum(num_layers)))
        channels = [embed_dims * heads for heads in num_heads]
        grid = as_pair(pretrain_img_size)
        self.layers = ModuleList()
        for i, width in enumerate(channels):
            patches = PatchEmbed(
                channels[i - 1] if i else in_channels, width, kernel_size=patch_sizes[i], stride=strides[i],
                padding=paddings[i], norm_cfg=norm_cfg,
            )  # fmt: skip
            grid = (grid[0] // patch_sizes[i], grid[1] // patch_sizes[i])
            position = [AbsolutePositionEmbedding(grid, width, drop_rate)] if use_abs_pos_embed else []
            sizes = (width, num_heads[i], mlp_ratios[i] * width)
            layers = [
                PVTEncoderLayer(*sizes, sr_ratio=sr_ratios[i], drop_path_rate=next(rates), **shared)
                for _ in range(num_layers[i])
            ]
            norm = build_norm_layer(norm_cfg, width)[1] if norm_after_stage else nn.Identity()
            self.layers.append(ModuleList([patches, ModuleList([*position, *layers]), norm]))
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.strides = tuple(math.prod(strides[: i + 1]) for i in self.out_indices)
        if convert_weights:
            self.register_load_state_dict_pre_hook(convert_released)

    def _check_stages(self, num_stages: int, **per_stage: Sequence[int]) -> None:
        for name, values in per_stage.items():
            if len(values) != num_stages:
                raise ValueError(f'{type(self).__name__}: num_stages={num_stages}, but {name}={values!r}')

    def init_own_weights(self) -> None:
        """Truncated normal linear layers, convolutions that keep the variance backward; only without ``init_cfg``."""
        if self.init_cfg is None:
            init_transformer_weights(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        outs = []
        stage: Any
        for i, stage in enumerate(self.layers):
            patches, layers, norm = stage
            tokens_nlc, hw_shape = patches(x)
            for layer in layers:
                tokens_nlc = layer(tokens_nlc, hw_shape)
            x = to_map(norm(tokens_nlc), hw_shape)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


@BACKBONES.register_module()
class PyramidVisionTransformerV2(PyramidVisionTransformer):
    """Pyramid vision transformer with overlapping patches, and convolutions in place of position embeddings.

    "PVT v2: Improved Baselines with Pyramid Vision Transformer" (Wang et al., 2021, arXiv:2106.13797).

    Args:
        **kwargs: Arguments of :class:`PyramidVisionTransformer` but ``patch_sizes``, ``paddings``,
            ``use_abs_pos_embed``, ``norm_after_stage`` and ``use_conv_ffn``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            patch_sizes=(7, 3, 3, 3),
            paddings=(3, 1, 1, 1),
            use_abs_pos_embed=False,
            norm_after_stage=True,
            use_conv_ffn=True,
            **kwargs,
        )
