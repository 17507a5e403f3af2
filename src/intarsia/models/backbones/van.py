"""Visual attention network.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.conv_mlp import GELU, ConvMlp
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN'}
LN: Mapping[str, Any] = {'type': 'LN'}
EMPTY: Mapping[str, Any] = {}


class LargeKernelAttention(BaseModule):
    """Weigh a map by what a wide filter sees: 5 x 5, then 7 x 7 with gaps, then all channels.

    Args:
        embed_dims: Channels C.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.DW_conv = nn.Conv2d(embed_dims, embed_dims, 5, padding=2, groups=embed_dims)
        self.DW_D_conv = nn.Conv2d(embed_dims, embed_dims, 7, padding=9, groups=embed_dims, dilation=3)
        self.conv1 = nn.Conv2d(embed_dims, embed_dims, 1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return x_nchw * self.conv1(self.DW_D_conv(self.DW_conv(x_nchw)))


class SpatialAttention(BaseModule):
    """:class:`LargeKernelAttention` between two projections; added to the input.

    Args:
        embed_dims: Channels C.
        act_cfg: Config of the activation after the first projection.
    """

    def __init__(self, embed_dims: int, act_cfg: Mapping[str, Any] = GELU) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(embed_dims, embed_dims, 1)
        self.activation = build_activation_layer(act_cfg)
        self.spatial_gating_unit = LargeKernelAttention(embed_dims)
        self.proj_2 = nn.Conv2d(embed_dims, embed_dims, 1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x_nchw)))) + x_nchw


class VANBlock(BaseModule):
    """Attention and a small network on normalized maps, each scaled by a factor per channel and added.

    Args:
        embed_dims: Channels C.
        ffn_ratio: Channels inside the small network divided by C.
        drop_rate: Dropout of the small network.
        drop_path_rate: Probability that a sample goes without a branch.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
        layer_scale_init_value: First value of the factors; 0 for no factors.
    """

    def __init__(
        self,
        embed_dims: int,
        ffn_ratio: float = 4.0,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = BN,
        layer_scale_init_value: float = 1e-2,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = SpatialAttention(embed_dims, act_cfg)
        self.drop_path = path_or_identity(drop_path_rate)
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.mlp = ConvMlp(embed_dims, int(embed_dims * ffn_ratio), act_cfg, drop_rate, with_dwconv=True)
        for name in ('layer_scale_1', 'layer_scale_2'):
            scale = nn.Parameter(torch.full((embed_dims,), float(layer_scale_init_value)))
            self.register_parameter(name, scale if layer_scale_init_value > 0 else None)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        x_nchw = x_nchw + self.drop_path(_scaled(self.attn(self.norm1(x_nchw)), self.layer_scale_1))
        return x_nchw + self.drop_path(_scaled(self.mlp(self.norm2(x_nchw)), self.layer_scale_2))


def _scaled(x_nchw: Tensor, scale_c: Any) -> Tensor:
    return x_nchw if scale_c is None else x_nchw * scale_c[:, None, None]


class ConvPatches(BaseModule):
    """A strided convolution with overlapping patches, and a batch norm.

    Args:
        in_channels: Input channels.
        embed_dims: Output channels C.
        patch_size: Size of a patch; the stride is half of it, rounded up.
    """

    def __init__(self, in_channels: int, embed_dims: int, patch_size: int) -> None:
        super().__init__()
        stride, padding = patch_size // 2 + 1, patch_size // 2
        self.projection = nn.Conv2d(in_channels, embed_dims, patch_size, stride, padding)
        self.norm = build_norm_layer(BN, embed_dims)[1]

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, C, H / stride, W / stride)``."""
        return self.norm(self.projection(x_nchw))


def _arch(widths: Sequence[int], depths: Sequence[int]) -> dict[str, Sequence[int]]:
    return {'embed_dims': widths, 'depths': depths, 'ffn_ratios': (8, 8, 4, 4)}


@BACKBONES.register_module()
class VAN(Backbone):
    """Convolutional network of stages whose attention is a wide filter.

    "Visual Attention Network" (Guo et al., 2022, arXiv:2202.09741).

    State keys: ``patch_embed{i}``, ``blocks{i}``, ``norm{i}`` for each stage i from 1.

    Args:
        arch: Name of an architecture, or a dict with ``embed_dims``, ``depths`` and ``ffn_ratios`` of the stages.
        patch_sizes: Size of a patch of each stage; the stride is half of it, rounded up.
        in_channels: Channels of the image.
        drop_rate: Dropout of the small networks.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        out_indices: Stages to output, from 0.
        frozen_stages: Freeze the stages up to this one, from 0; -1 freezes nothing.
        norm_eval: Keep batch norms in evaluation mode during training.
        norm_cfg: Config of the normalization after each stage, over channels at every place.
        block_cfgs: Further arguments of the blocks.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Sequence[int]]]] = {
        **dict.fromkeys(('b0', 't', 'tiny'), _arch((32, 64, 160, 256), (3, 3, 5, 2))),
        **dict.fromkeys(('b1', 's', 'small'), _arch((64, 128, 320, 512), (2, 2, 4, 2))),
        **dict.fromkeys(('b2', 'b', 'base'), _arch((64, 128, 320, 512), (3, 3, 12, 3))),
        **dict.fromkeys(('b3', 'l', 'large'), _arch((64, 128, 320, 512), (3, 5, 27, 3))),
        'b4': _arch((64, 128, 320, 512), (3, 6, 40, 3)),
        'b5': _arch((96, 192, 480, 768), (3, 3, 24, 3)),
        'b6': _arch((96, 192, 384, 768), (6, 6, 90, 6)),
    }
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            'b0': (32, 64, 160, 256), 't': (32, 64, 160, 256), 'tiny': (32, 64, 160, 256),
            'b1': (64, 128, 320, 512), 's': (64, 128, 320, 512), 'small': (64, 128, 320, 512),
            'b2': (64, 128, 320, 512), 'b': (64, 128, 320, 512), 'base': (64, 128, 320, 512),
            'b3': (64, 128, 320, 512), 'l': (64, 128, 320, 512), 'large': (64, 128, 320, 512),
            'b4': (64, 128, 320, 512), 'b5': (96, 192, 480, 768), 'b6': (96, 192, 384, 768),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tiny',
        patch_sizes: Sequence[int] = (7, 3, 3, 3),
        in_channels: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (3,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        norm_cfg: Mapping[str, Any] = LN,
        block_cfgs: Mapping[str, Any] = EMPTY,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ('embed_dims', 'depths', 'ffn_ratios'))
        widths, depths = settings['embed_dims'], settings['depths']
        self.num_stages = len(depths)
        self.out_indices = normalize_indices(out_indices, self.num_stages, 'VAN')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        rates = iter(decay_rule(drop_path_rate, sum(depths)))
        strides = [1]
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            options = {'ffn_ratio': settings['ffn_ratios'][i], 'drop_rate': drop_rate}
            blocks = ModuleList(
                VANBlock(width, **{**options, 'drop_path_rate': next(rates), **block_cfgs}) for _ in range(depth)
            )
            patches = ConvPatches(widths[i - 1] if i else in_channels, width, patch_sizes[i])
            self.add_module(f'patch_embed{i + 1}', patches)
            self.add_module(f'blocks{i + 1}', blocks)
            self.add_module(f'norm{i + 1}', build_norm_layer(norm_cfg, width)[1])
            strides.append(strides[-1] * (patch_sizes[i] // 2 + 1))
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(strides[i + 1] for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The stages up to ``frozen_stages``."""
        return [getattr(self, f'{part}{i + 1}') for i in range(self.frozen_stages + 1) for part in PARTS]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        outs = []
        for i in range(self.num_stages):
            patches, blocks, norm = (getattr(self, f'{part}{i + 1}') for part in PARTS)
            x = patches(x)
            for block in blocks:
                x = block(x)
            x = norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


PARTS = ('patch_embed', 'blocks', 'norm')
"""The modules of a stage."""
