"""Mix transformer, the encoder of SegFormer.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, init_from, normalize_indices
from intarsia.models.backbones.residual_attention import ResidualAttention
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.drop import build_dropout, decay_rule
from intarsia.nn.embed import PatchEmbed
from intarsia.nn.init import normal_init, trunc_normal_init
from intarsia.nn.module import BaseModule, InitCfg, ModuleList, Sequential
from intarsia.nn.norm import build_norm_layer

LN: Mapping[str, Any] = {'type': 'LN'}
LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
GELU: Mapping[str, Any] = {'type': 'GELU'}


def to_map(tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
    """Tokens ``(N, H * W, C)`` as a map ``(N, C, H, W)``."""
    return tokens_nlc.transpose(1, 2).unflatten(2, hw_shape).contiguous()


def to_tokens(x_nchw: Tensor) -> Tensor:
    """A map ``(N, C, H, W)`` as tokens ``(N, H * W, C)``."""
    return x_nchw.flatten(2).transpose(1, 2).contiguous()


class MixFFN(BaseModule):
    """Feed-forward network with a 3 x 3 convolution of every channel inside, which tells tokens where they are.

    Args:
        embed_dims: Channels C.
        feedforward_channels: Channels in between.
        act_cfg: Config of the activation.
        ffn_drop: Dropout after each linear layer.
        dropout_layer: Config of the dropout of the whole branch.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        feedforward_channels: int,
        act_cfg: Mapping[str, Any] = GELU,
        ffn_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        inside = feedforward_channels
        self.layers = Sequential(
            nn.Conv2d(embed_dims, inside, 1),
            nn.Conv2d(inside, inside, 3, padding=1, groups=inside),
            build_activation_layer(act_cfg),
            nn.Dropout(ffn_drop),
            nn.Conv2d(inside, embed_dims, 1),
            nn.Dropout(ffn_drop),
        )
        self.dropout_layer = build_dropout(dropout_layer)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int], identity: Tensor | None = None) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W) in and out; added to ``identity``, or to the tokens themselves."""
        out_nlc = to_tokens(self.layers(to_map(tokens_nlc, hw_shape)))
        return (tokens_nlc if identity is None else identity) + self.dropout_layer(out_nlc)


class EfficientMultiheadAttention(ResidualAttention):
    """Attention to a map of lower resolution.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        sr_ratio: By how much height and width are divided before they are attended to.
        norm_cfg: Config of the normalization of that map.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.residual_attention.ResidualAttention`.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, sr_ratio: int = 1, norm_cfg: Mapping[str, Any] = LN, **kwargs: Any
    ) -> None:
        super().__init__(embed_dims, num_heads, **kwargs)
        self.sr_ratio = sr_ratio
        if sr_ratio > 1:
            self.sr = nn.Conv2d(embed_dims, embed_dims, sr_ratio, stride=sr_ratio)
            self.norm = build_norm_layer(norm_cfg, embed_dims)[1]

    def reduced(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """What is attended to, ``(N, H * W / sr_ratio ** 2, C)``."""
        if self.sr_ratio == 1:
            return tokens_nlc
        return self.norm(to_tokens(self.sr(to_map(tokens_nlc, hw_shape))))


class MixEncoderLayer(BaseModule):
    """Attention to a coarser map, then a feed-forward network, each on normalized tokens and added to them.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        feedforward_channels: Channels inside the feed-forward network.
        drop_rate: Dropout after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Probability that a sample goes without a branch.
        qkv_bias: Whether the linear layers of the attention have a bias.
        act_cfg: Config of the activation.
        norm_cfg: Config of the normalizations.
        sr_ratio: By how much height and width are divided before they are attended to.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        qkv_bias: bool = True,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
        sr_ratio: int = 1,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        drop_path = {'type': 'DropPath', 'drop_prob': drop_path_rate} if drop_path_rate > 0 else None
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = EfficientMultiheadAttention(
            embed_dims, num_heads, sr_ratio, norm_cfg, attn_drop=attn_drop_rate, proj_drop=drop_rate,
            dropout_layer=drop_path, qkv_bias=qkv_bias,
        )  # fmt: skip
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = MixFFN(embed_dims, feedforward_channels, act_cfg, drop_rate, drop_path)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        if self.with_cp and tokens_nlc.requires_grad:
            return checkpoint(self._sum, tokens_nlc, hw_shape, use_reentrant=False)
        return self._sum(tokens_nlc, hw_shape)

    def _sum(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        normed_nlc = self.norm1(tokens_nlc)
        tokens_nlc = self.attn(normed_nlc, self.attn.reduced(normed_nlc, hw_shape), identity=tokens_nlc)
        return self.ffn(self.norm2(tokens_nlc), hw_shape, identity=tokens_nlc)


@BACKBONES.register_module()
class MixVisionTransformer(Backbone):
    """Transformer at four resolutions, with overlapping patches and without position embeddings.

    "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers" (Xie et al., 2021,
    arXiv:2105.15203).

    State keys: ``layers.{stage}.0`` (patches), ``layers.{stage}.1.{layer}``, ``layers.{stage}.2`` (normalization).

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels of a head; a stage has as many times more as it has heads.
        num_stages: Number of stages.
        num_layers: Layers of each stage.
        num_heads: Heads of each stage.
        patch_sizes: Size of a patch of each stage; patches overlap by half.
        strides: Distance between patches of each stage.
        sr_ratios: By how much height and width are divided before they are attended to.
        out_indices: Stages to output, from 0.
        mlp_ratio: Channels inside the feed-forward networks divided by those outside.
        qkv_bias: Whether the linear layers of the attention have a bias.
        drop_rate: Dropout after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.
        with_cp: Compute activations again in the backward pass, to save memory.

    Raises:
        ValueError: A sequence has not one number for each stage.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 64,
        num_stages: int = 4,
        num_layers: Sequence[int] = (3, 4, 6, 3),
        num_heads: Sequence[int] = (1, 2, 4, 8),
        patch_sizes: Sequence[int] = (7, 3, 3, 3),
        strides: Sequence[int] = (4, 2, 2, 2),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        mlp_ratio: int = 4,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        per_stage = {
            'num_layers': num_layers, 'num_heads': num_heads, 'patch_sizes': patch_sizes, 'strides': strides,
            'sr_ratios': sr_ratios,
        }  # fmt: skip
        for name, values in per_stage.items():
            if len(values) != num_stages:
                raise ValueError(f'MixVisionTransformer: num_stages={num_stages}, but {name}={values!r}')
        self.out_indices = normalize_indices(out_indices, num_stages, 'MixVisionTransformer')
        shared: dict[str, Any] = {
            'drop_rate': drop_rate, 'attn_drop_rate': attn_drop_rate, 'qkv_bias': qkv_bias, 'act_cfg': act_cfg,
            'norm_cfg': norm_cfg, 'with_cp': with_cp,
        }  # fmt: skip
        rates = iter(decay_rule(drop_path_rate, sum(num_layers)))
        channels = [embed_dims * heads for heads in num_heads]
        self.layers = ModuleList()
        for i, width in enumerate(channels):
            patches = PatchEmbed(
                channels[i - 1] if i else in_channels, width, kernel_size=patch_sizes[i], stride=strides[i],
                padding=patch_sizes[i] // 2, norm_cfg=norm_cfg,
            )  # fmt: skip
            layers = ModuleList(
                MixEncoderLayer(
                    width, num_heads[i], mlp_ratio * width, sr_ratio=sr_ratios[i], drop_path_rate=next(rates), **shared
                )
                for _ in range(num_layers[i])
            )
            self.layers.append(ModuleList([patches, layers, build_norm_layer(norm_cfg, width)[1]]))
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.strides = tuple(math.prod(strides[: i + 1]) for i in self.out_indices)

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


def init_transformer_weights(network: nn.Module) -> None:
    """Truncated normal linear layers, and convolutions that keep the variance backward."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            trunc_normal_init(module, std=0.02)
        elif isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            normal_init(module, std=math.sqrt(2.0 / fan_out))
