"""ConvNeXt, versions 1 and 2.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.module import BaseModule, InitCfg, ModuleList, Sequential
from intarsia.nn.norm import GlobalResponseNorm, build_norm_layer

LN2D: Mapping[str, Any] = {'type': 'LN2d', 'eps': 1e-6}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class ConvNeXtBlock(BaseModule):
    """A wide depthwise convolution and a two-layer network at every place, added to the input.

    Args:
        in_channels: Channels C in and out.
        norm_cfg: Config of the normalization.
        act_cfg: Config of the activation.
        mlp_ratio: Channels inside the two-layer network divided by C.
        linear_pw_conv: Make the two layers ``nn.Linear``, not 1 x 1 convolutions; weights differ in shape only.
        drop_path_rate: Probability that a sample goes without the branch.
        layer_scale_init_value: First value of a factor per channel of the branch; 0 for no factor.
        use_grn: Global response normalization between the two layers (version 2).
        with_cp: Compute activations again in the backward pass, to save memory.
        kernel_size: Size of the depthwise kernel, odd.
    """

    def __init__(
        self,
        in_channels: int,
        norm_cfg: Mapping[str, Any] = LN2D,
        act_cfg: Mapping[str, Any] = GELU,
        mlp_ratio: float = 4.0,
        linear_pw_conv: bool = True,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        use_grn: bool = False,
        with_cp: bool = False,
        kernel_size: int = 7,
    ) -> None:
        super().__init__()
        self.with_cp, self.linear_pw_conv = with_cp, linear_pw_conv
        mid_channels = int(mlp_ratio * in_channels)
        self.depthwise_conv = nn.Conv2d(
            in_channels, in_channels, kernel_size, padding=kernel_size // 2, groups=in_channels
        )
        self.norm = build_norm_layer(norm_cfg, in_channels)[1]
        self.pointwise_conv1 = self._pointwise(in_channels, mid_channels)
        self.act = build_activation_layer(act_cfg)
        self.pointwise_conv2 = self._pointwise(mid_channels, in_channels)
        self.grn = GlobalResponseNorm(mid_channels) if use_grn else None
        scale = layer_scale_init_value
        self.gamma = nn.Parameter(torch.full((in_channels,), float(scale))) if scale > 0 else None
        self.drop_path = path_or_identity(drop_path_rate)

    def _pointwise(self, in_channels: int, out_channels: int) -> nn.Module:
        return nn.Linear(in_channels, out_channels) if self.linear_pw_conv else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        if self.with_cp and x_nchw.requires_grad:
            return checkpoint(self._sum, x_nchw, use_reentrant=False)
        return self._sum(x_nchw)

    def _sum(self, x_nchw: Tensor) -> Tensor:
        branch_nchw = self.depthwise_conv(x_nchw)
        branch_nchw = self._linear(branch_nchw) if self.linear_pw_conv else self._convolutional(branch_nchw)
        if self.gamma is not None:
            branch_nchw = branch_nchw * self.gamma.view(-1, 1, 1)
        return x_nchw + self.drop_path(branch_nchw)

    def _linear(self, x_nchw: Tensor) -> Tensor:
        x_nhwc = self.norm(x_nchw.permute(0, 2, 3, 1), data_format='channel_last')
        x_nhwc = self.act(self.pointwise_conv1(x_nhwc))
        if self.grn is not None:
            x_nhwc = self.grn(x_nhwc)
        return self.pointwise_conv2(x_nhwc).permute(0, 3, 1, 2)

    def _convolutional(self, x_nchw: Tensor) -> Tensor:
        x_nchw = self.act(self.pointwise_conv1(self.norm(x_nchw)))
        if self.grn is not None:
            x_nchw = self.grn(x_nchw.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.pointwise_conv2(x_nchw)


@BACKBONES.register_module()
class ConvNeXt(Backbone):
    """Convolutional network with the proportions of a vision transformer.

    "A ConvNet for the 2020s" (Liu et al., 2022, arXiv:2201.03545); with ``use_grn=True`` and
    ``layer_scale_init_value=0`` "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders" (Woo et al.,
    2023, arXiv:2301.00808).

    State keys: ``downsample_layers``, ``stages``, ``norm{i}`` for every output i.

    Args:
        arch: Name of an architecture, or a dict with ``depths`` and ``channels`` of the stages.
        in_channels: Channels of the image.
        stem_patch_size: Size and stride of the first convolution.
        norm_cfg: Config of the normalizations; of the kind ``LN2d``.
        act_cfg: Config of the activations.
        linear_pw_conv: Make the layers at every place ``nn.Linear``, not 1 x 1 convolutions.
        use_grn: Global response normalization in the blocks.
        drop_path_rate: Drop probability of the last block; it grows linearly from 0.
        layer_scale_init_value: First value of a factor per channel of each branch; 0 for no factor.
        out_indices: Stages to output, from 0; negative ones count from the end.
        frozen_stages: Freeze so many stages, each with the downsampling before it.
        gap_before_final_norm: Average the map before its last normalization: outputs are vectors.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'atto': {'depths': (2, 2, 6, 2), 'channels': (40, 80, 160, 320)},
        'femto': {'depths': (2, 2, 6, 2), 'channels': (48, 96, 192, 384)},
        'pico': {'depths': (2, 2, 6, 2), 'channels': (64, 128, 256, 512)},
        'nano': {'depths': (2, 2, 8, 2), 'channels': (80, 160, 320, 640)},
        'tiny': {'depths': (3, 3, 9, 3), 'channels': (96, 192, 384, 768)},
        'small': {'depths': (3, 3, 27, 3), 'channels': (96, 192, 384, 768)},
        'base': {'depths': (3, 3, 27, 3), 'channels': (128, 256, 512, 1024)},
        'large': {'depths': (3, 3, 27, 3), 'channels': (192, 384, 768, 1536)},
        'xlarge': {'depths': (3, 3, 27, 3), 'channels': (256, 512, 1024, 2048)},
        'huge': {'depths': (3, 3, 27, 3), 'channels': (352, 704, 1408, 2816)},
    }
    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'layer': ['Conv2d', 'Linear'], 'std': 0.02, 'bias': 0.0},
        {'type': 'Constant', 'layer': ['LayerNorm'], 'val': 1.0, 'bias': 0.0},
    )

    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            'atto': (40, 80, 160, 320), 'femto': (48, 96, 192, 384), 'pico': (64, 128, 256, 512),
            'nano': (80, 160, 320, 640), 'tiny': (96, 192, 384, 768), 'small': (96, 192, 384, 768),
            'base': (128, 256, 512, 1024), 'large': (192, 384, 768, 1536), 'xlarge': (256, 512, 1024, 2048),
            'huge': (352, 704, 1408, 2816),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]] = 'tiny',
        in_channels: int = 3,
        stem_patch_size: int = 4,
        norm_cfg: Mapping[str, Any] = LN2D,
        act_cfg: Mapping[str, Any] = GELU,
        linear_pw_conv: bool = True,
        use_grn: bool = False,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        out_indices: int | Sequence[int] = -1,
        frozen_stages: int = 0,
        gap_before_final_norm: bool = True,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_settings, ('depths', 'channels'))
        self.depths, self.channels = tuple(settings['depths']), tuple(settings['channels'])
        if len(self.depths) != len(self.channels):
            raise ValueError(f'ConvNeXt: depths={self.depths} and channels={self.channels} differ in length')
        self.out_indices = normalize_indices(out_indices, len(self.depths), 'ConvNeXt')
        self.frozen_stages, self.gap_before_final_norm = frozen_stages, gap_before_final_norm

        rates = iter(decay_rule(drop_path_rate, sum(self.depths)))
        options: dict[str, Any] = {
            'norm_cfg': norm_cfg, 'act_cfg': act_cfg, 'linear_pw_conv': linear_pw_conv, 'use_grn': use_grn,
            'layer_scale_init_value': layer_scale_init_value, 'with_cp': with_cp,
        }  # fmt: skip
        first = self.channels[0]
        stem = nn.Conv2d(in_channels, first, stem_patch_size, stem_patch_size)
        self.downsample_layers = ModuleList([nn.Sequential(stem, build_norm_layer(norm_cfg, first)[1])])
        self.stages = ModuleList()
        for i, (depth, channels) in enumerate(zip(self.depths, self.channels, strict=True)):
            if i:
                before = self.channels[i - 1]
                halve = nn.Conv2d(before, channels, kernel_size=2, stride=2)
                self.downsample_layers.append(nn.Sequential(build_norm_layer(norm_cfg, before)[1], halve))
            blocks = [ConvNeXtBlock(channels, drop_path_rate=next(rates), **options) for _ in range(depth)]
            self.stages.append(Sequential(*blocks))
            if i in self.out_indices:
                self.add_module(f'norm{i}', build_norm_layer(norm_cfg, channels)[1])
        self.out_channels = tuple(self.channels[i] for i in self.out_indices)
        self.strides = tuple(0 if gap_before_final_norm else stem_patch_size * 2**i for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The first ``frozen_stages`` stages and the downsampling before each."""
        frozen = max(self.frozen_stages, 0)
        return [*self.downsample_layers[:frozen], *self.stages[:frozen]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of the output stages.

        Args:
            x: ``(N, in_channels, H, W)``.

        Returns:
            ``(N, C)`` for each output, or ``(N, C, H / stride, W / stride)`` without ``gap_before_final_norm``.
        """
        outs = []
        for i, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(downsample(x))
            if i in self.out_indices:
                norm = getattr(self, f'norm{i}')
                if self.gap_before_final_norm:
                    outs.append(norm(x.mean((-2, -1), keepdim=True)).flatten(1))
                else:
                    outs.append(norm(x))
        return tuple(outs)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for rates that decay from layer to layer, and the number of depths.

        Args:
            param_name: Name of a parameter of the whole model.
            prefix: What the names of this backbone's parameters start with, ``'backbone.'``.
        """
        last = 12 if self.depths[-2] > 9 else 6
        if not param_name.startswith(prefix):
            return last + 1, last + 2
        kind, *numbers = param_name.removeprefix(prefix).split('.')
        if kind not in ('downsample_layers', 'stages'):
            return last + 1, last + 2
        stage = int(numbers[0])
        if kind == 'downsample_layers':
            depth = 0 if stage == 0 else stage + 1 if stage < 3 else last
        else:
            depth = stage + 1 if stage < 2 else 3 + int(numbers[1]) // 3 if stage == 2 else last
        return depth, last + 2
