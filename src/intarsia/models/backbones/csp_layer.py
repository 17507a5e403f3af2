"""Cross-stage partial layers of CSPNeXt.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.conv_module import ConvModule
from intarsia.nn.depthwise_separable import DepthwiseSeparableConvModule
from intarsia.nn.module import BaseModule, InitCfg

BN: Mapping[str, Any] = {'type': 'BN', 'momentum': 0.03, 'eps': 0.001}
SILU: Mapping[str, Any] = {'type': 'SiLU'}


def conv_class(use_depthwise: bool) -> type[ConvModule] | type[DepthwiseSeparableConvModule]:
    """What convolves: each channel by itself and then all, or all at once."""
    return DepthwiseSeparableConvModule if use_depthwise else ConvModule


class CSPNeXtBlock(nn.Module):
    """A 3 x 3 convolution, then a large one of each channel by itself; added to the input where shapes allow.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        expansion: Channels in between divided by output channels.
        add_identity: Whether the input is added.
        use_depthwise: Make the first convolution depthwise separable, too.
        kernel_size: Size of the large kernel.
        conv_cfg: Config of the second convolution.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: float = 0.5,
        add_identity: bool = True,
        use_depthwise: bool = False,
        kernel_size: int = 5,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = SILU,
    ) -> None:
        super().__init__()
        hidden = int(out_channels * expansion)
        cfgs: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.conv1 = conv_class(use_depthwise)(in_channels, hidden, 3, padding=1, **cfgs)
        self.conv2 = DepthwiseSeparableConvModule(
            hidden, out_channels, kernel_size, padding=kernel_size // 2, conv_cfg=conv_cfg, **cfgs
        )
        self.add_identity = add_identity and in_channels == out_channels

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        out_nchw = self.conv2(self.conv1(x_nchw))
        return out_nchw + x_nchw if self.add_identity else out_nchw


class ChannelAttention(nn.Module):
    """Scale every channel by a factor that one layer makes of the means of all channels.

    Args:
        channels: Channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return x_nchw * F.hardsigmoid(self.fc(x_nchw.mean((2, 3), keepdim=True)))


class CSPLayer(BaseModule):
    """Blocks over one half of the channels; the other goes around them, and all are mixed at the end.

    "CSPNet: A New Backbone that can Enhance Learning Capability of CNN" (Wang et al., 2019, arXiv:1911.11929).

    State keys: ``main_conv``, ``short_conv``, ``final_conv``, ``blocks``, ``attention``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        expand_ratio: Channels of a half divided by output channels.
        num_blocks: Number of blocks.
        add_identity: Whether blocks add their input.
        use_depthwise: Make all spatial convolutions depthwise separable.
        channel_attention: Weigh the channels before they are mixed.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float = 0.5,
        num_blocks: int = 1,
        add_identity: bool = True,
        use_depthwise: bool = False,
        channel_attention: bool = False,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = SILU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        half = int(out_channels * expand_ratio)
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.main_conv = ConvModule(in_channels, half, 1, **cfgs)
        self.short_conv = ConvModule(in_channels, half, 1, **cfgs)
        self.final_conv = ConvModule(2 * half, out_channels, 1, **cfgs)
        self.blocks = nn.Sequential(
            *[CSPNeXtBlock(half, half, 1.0, add_identity, use_depthwise, **cfgs) for _ in range(num_blocks)]
        )
        self.attention = ChannelAttention(2 * half) if channel_attention else nn.Identity()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        halves = (self.blocks(self.main_conv(x_nchw)), self.short_conv(x_nchw))
        return self.final_conv(self.attention(torch.cat(halves, dim=1)))


class SPPBottleneck(BaseModule):
    """A map beside its maxima over windows of several sizes, mixed by a 1 x 1 convolution.

    "Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition" (He et al., 2014, arXiv:1406.4729).

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_sizes: Sides of the windows, odd.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (5, 9, 13),
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = SILU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        mid = in_channels // 2
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.conv1 = ConvModule(in_channels, mid, 1, **cfgs)
        self.poolings = nn.ModuleList(nn.MaxPool2d(size, stride=1, padding=size // 2) for size in kernel_sizes)
        self.conv2 = ConvModule(mid * (len(kernel_sizes) + 1), out_channels, 1, **cfgs)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        x_nchw = self.conv1(x_nchw)
        return self.conv2(torch.cat([x_nchw, *[pooling(x_nchw) for pooling in self.poolings]], dim=1))
