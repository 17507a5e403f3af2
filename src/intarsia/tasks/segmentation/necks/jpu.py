"""Joint pyramid upsampling.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import NECKS
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.depthwise_separable import DepthwiseSeparableConvModule
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.resize import resize

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}


@NECKS.register_module()
class JPU(BaseModule):
    """From maps of several resolutions one that replaces the coarsest, at the resolution of the finest.

    "FastFCN: Rethinking Dilated Convolution in the Backbone for Semantic Segmentation" (Wu et al., 2019,
    arXiv:1903.11816).

    State keys: ``conv_layers``, ``dilation_layers``.

    Args:
        in_channels: Channels of each map.
        mid_channels: Channels of every map inside, and of the output for each dilation.
        start_level: First map that is joined.
        end_level: The one after the last map that is joined; -1 for all.
        dilations: Dilation of each of the convolutions side by side.
        align_corners: How bilinear resizing places the pixels.
        conv_cfg: Config of the convolutions of single maps.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``end_level`` is more than there are maps.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (512, 1024, 2048),
        mid_channels: int = 512,
        start_level: int = 0,
        end_level: int = -1,
        dilations: Sequence[int] = (1, 2, 4, 8),
        align_corners: bool = False,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if end_level > len(in_channels):
            raise ValueError(f'JPU: end_level={end_level}, but there are {len(in_channels)} in_channels')
        self.in_channels, self.align_corners = tuple(in_channels), align_corners
        self.levels = slice(start_level, len(in_channels) if end_level == -1 else end_level)
        joined = self.in_channels[self.levels]
        self.conv_layers = nn.ModuleList(
            nn.Sequential(
                ConvModule(channels, mid_channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
            )
            for channels in joined
        )
        self.dilation_layers = nn.ModuleList(
            nn.Sequential(
                DepthwiseSeparableConvModule(
                    len(joined) * mid_channels, mid_channels, 3, padding=dilation, dilation=dilation,
                    norm_cfg=norm_cfg, dw_act_cfg=None, pw_act_cfg=act_cfg,
                )
            )
            for dilation in dilations
        )  # fmt: skip
        self.out_channels = (*joined[:-1], len(dilations) * mid_channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps from fine to coarse to those that are joined, the last replaced by the result at the size of the first.

        Raises:
            ValueError: There are more or fewer maps than ``in_channels``.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'JPU got {len(inputs)} maps, but in_channels has {len(self.in_channels)}')
        maps = list(inputs[self.levels])
        convolved = [conv(x_nchw) for conv, x_nchw in zip(self.conv_layers, maps, strict=True)]
        size = convolved[0].shape[2:]
        resized = (resize(x, size=size, mode='bilinear', align_corners=self.align_corners) for x in convolved[1:])
        joined_nchw = torch.cat([convolved[0], *resized], 1)
        return (*maps[:-1], torch.cat([layer(joined_nchw) for layer in self.dilation_layers], 1))
