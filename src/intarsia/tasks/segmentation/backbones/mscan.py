"""MSCAN, the backbone of SegNeXt.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, init_from
from intarsia.models.backbones.conv_mlp import ConvMlp
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.init import normal_init
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair

SYNC_BN: Mapping[str, Any] = {'type': 'SyncBN', 'requires_grad': True}
GELU: Mapping[str, Any] = {'type': 'GELU'}
KERNELS: Sequence[Pair] = (5, (1, 7), (1, 11), (1, 21))
PADDINGS: Sequence[Pair] = (2, (0, 3), (0, 5), (0, 10))
FIRST_SCALE = 1e-2


class MSCAAttention(BaseModule):
    """Weigh a map by what filters of several sizes see, long ones as a row and a column.

    State keys: ``conv0``, ``conv0_1``, ``conv0_2``, ``conv1_1``, ..., ``conv3``.

    Args:
        channels: Channels C of the map.
        kernel_sizes: Size of the first filter, and of the rows of the others.
        paddings: Zeros on each side, for each.
    """

    def __init__(self, channels: int, kernel_sizes: Sequence[Pair], paddings: Sequence[Pair]) -> None:
        super().__init__()
        first, pads = as_pair(kernel_sizes[0]), as_pair(paddings[0])
        self.conv0 = nn.Conv2d(channels, channels, first, padding=pads, groups=channels)
        self.num_long = len(kernel_sizes) - 1
        for i, (kernel_size, padding) in enumerate(zip(kernel_sizes[1:], paddings[1:], strict=True)):
            kernel, pads = as_pair(kernel_size), as_pair(padding)
            row = nn.Conv2d(channels, channels, kernel, padding=pads, groups=channels)
            column = nn.Conv2d(channels, channels, kernel[::-1], padding=pads[::-1], groups=channels)
            self.add_module(f'conv{i}_1', row)
            self.add_module(f'conv{i}_2', column)
        self.conv3 = nn.Conv2d(channels, channels, 1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        near_nchw = self.conv0(x_nchw)
        seen_nchw = near_nchw
        for i in range(self.num_long):
            seen_nchw = seen_nchw + getattr(self, f'conv{i}_2')(getattr(self, f'conv{i}_1')(near_nchw))
        return self.conv3(seen_nchw) * x_nchw


class MSCASpatialAttention(BaseModule):
    """:class:`MSCAAttention` between two projections; added to the input.

    Args:
        channels: Channels C of the map.
        kernel_sizes: As :class:`MSCAAttention` takes them.
        paddings: As :class:`MSCAAttention` takes them.
        act_cfg: Config of the activation after the first projection.
    """

    def __init__(
        self, channels: int, kernel_sizes: Sequence[Pair], paddings: Sequence[Pair], act_cfg: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.activation = build_activation_layer(act_cfg)
        self.spatial_gating_unit = MSCAAttention(channels, kernel_sizes, paddings)
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x_nchw)))) + x_nchw


class MSCABlock(BaseModule):
    """Attention and a small network on normalized maps, each scaled by a factor per channel and added.

    Args:
        channels: Channels C of the map.
        kernel_sizes: As :class:`MSCAAttention` takes them.
        paddings: As :class:`MSCAAttention` takes them.
        mlp_ratio: Channels inside the small network divided by C.
        drop: Dropout of the small network.
        drop_path: Probability that a sample goes without a branch.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        channels: int,
        kernel_sizes: Sequence[Pair],
        paddings: Sequence[Pair],
        mlp_ratio: float,
        drop: float,
        drop_path: float,
        act_cfg: Mapping[str, Any],
        norm_cfg: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, channels)[1]
        self.attn = MSCASpatialAttention(channels, kernel_sizes, paddings, act_cfg)
        self.drop_path = path_or_identity(drop_path)
        self.norm2 = build_norm_layer(norm_cfg, channels)[1]
        self.mlp = ConvMlp(channels, int(channels * mlp_ratio), act_cfg, drop, with_dwconv=True)
        self.layer_scale_1 = nn.Parameter(torch.full((channels,), FIRST_SCALE))
        self.layer_scale_2 = nn.Parameter(torch.full((channels,), FIRST_SCALE))

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        scale_c11 = self.layer_scale_1[:, None, None]
        x_nchw = x_nchw + self.drop_path(scale_c11 * self.attn(self.norm1(x_nchw)))
        scale_c11 = self.layer_scale_2[:, None, None]
        return x_nchw + self.drop_path(scale_c11 * self.mlp(self.norm2(x_nchw)))


class StemConv(BaseModule):
    """Two convolutions that each halve the resolution.

    Args:
        in_channels: Channels of the image.
        out_channels: Output channels.
        norm_cfg: Config of the normalizations.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: Mapping[str, Any]) -> None:
        super().__init__()
        half = out_channels // 2
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, half, 3, stride=2, padding=1),
            build_norm_layer(norm_cfg, half)[1],
            nn.GELU(),
            nn.Conv2d(half, out_channels, 3, stride=2, padding=1),
            build_norm_layer(norm_cfg, out_channels)[1],
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / 4, W / 4)``."""
        return self.proj(x_nchw)


class OverlapPatchEmbed(BaseModule):
    """A convolution that halves the resolution, with a normalization.

    Args:
        in_channels: Input channels.
        embed_dim: Output channels.
        norm_cfg: Config of the normalization.
    """

    def __init__(self, in_channels: int, embed_dim: int, norm_cfg: Mapping[str, Any]) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dim, 3, stride=2, padding=1)
        self.norm = build_norm_layer(norm_cfg, embed_dim)[1]

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, embed_dim, H / 2, W / 2)``."""
        return self.norm(self.proj(x_nchw))


@BACKBONES.register_module()
class MSCAN(Backbone):
    """Network of stages whose attention is convolutions of several sizes.

    "SegNeXt: Rethinking Convolutional Attention Design for Semantic Segmentation" (Guo et al., 2022,
    arXiv:2209.08575).

    State keys: ``patch_embed1``, ``block1``, ``norm1``, ... for each stage.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels of each stage.
        mlp_ratios: Channels inside the small networks of each stage divided by its channels.
        drop_rate: Dropout of the small networks.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        depths: Blocks of each stage.
        num_stages: Number of stages.
        attention_kernel_sizes: Size of the first filter, and of the rows of the others.
        attention_kernel_paddings: Zeros on each side, for each.
        act_cfg: Config of the activations of blocks.
        norm_cfg: Config of the normalizations.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: Sequence[int] = (64, 128, 256, 512),
        mlp_ratios: Sequence[float] = (4, 4, 4, 4),
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        depths: Sequence[int] = (3, 4, 6, 3),
        num_stages: int = 4,
        attention_kernel_sizes: Sequence[Pair] = KERNELS,
        attention_kernel_paddings: Sequence[Pair] = PADDINGS,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = SYNC_BN,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        self.num_stages = num_stages
        rates = iter(decay_rule(drop_path_rate, sum(depths)))
        for i in range(num_stages):
            width = embed_dims[i]
            embed: nn.Module = StemConv(in_channels, width, norm_cfg)
            if i:
                embed = OverlapPatchEmbed(embed_dims[i - 1], width, norm_cfg)
            blocks = [
                MSCABlock(
                    width, attention_kernel_sizes, attention_kernel_paddings, mlp_ratios[i], drop_rate, next(rates),
                    act_cfg, norm_cfg,
                )
                for _ in range(depths[i])
            ]  # fmt: skip
            self.add_module(f'patch_embed{i + 1}', embed)
            self.add_module(f'block{i + 1}', nn.ModuleList(blocks))
            self.add_module(f'norm{i + 1}', nn.LayerNorm(width))
        self.out_channels = tuple(embed_dims[:num_stages])
        self.strides = tuple(4 * 2**i for i in range(num_stages))

    def init_own_weights(self) -> None:
        """Normal convolutions whose variance is 2 / fan-out; only without ``init_cfg``."""
        if self.init_cfg is not None:
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
                normal_init(module, std=math.sqrt(2.0 / fan_out))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of all stages, normalized over their channels."""
        outs = []
        for i in range(1, self.num_stages + 1):
            x = getattr(self, f'patch_embed{i}')(x)
            for block in getattr(self, f'block{i}'):
                x = block(x)
            x = getattr(self, f'norm{i}')(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()
            outs.append(x)
        return tuple(outs)
