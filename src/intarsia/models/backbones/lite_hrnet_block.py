"""Blocks of Lite-HRNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from intarsia.nn.channel_shuffle import channel_shuffle
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.depthwise_separable import DepthwiseSeparableConvModule
from intarsia.nn.resize import resize
from intarsia.nn.squeeze_excite import SELayer

BN: Mapping[str, Any] = {'type': 'BN'}
SIGMOID: Mapping[str, Any] = {'type': 'Sigmoid'}


class CrossResolutionWeighting(nn.Module):
    """Weigh channels and places of every map by what all maps show there.

    Args:
        channels: Channels of each map, from the finest.
        ratio: By how much the channels of all maps together are squeezed.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        channels: Sequence[int],
        ratio: int = 16,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.channels, total = list(channels), sum(channels)
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        self.conv1 = ConvModule(total, total // ratio, 1, **options)
        self.conv2 = ConvModule(total // ratio, total, 1, act_cfg=SIGMOID, **options)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps ``(N, C_i, H_i, W_i)`` in and out."""
        height, width = maps[-1].shape[2:]
        together_nchw = torch.cat([F.adaptive_avg_pool2d(x_nchw, (height, width)) for x_nchw in maps], dim=1)
        weights = self.conv2(self.conv1(together_nchw)).split(self.channels, dim=1)
        return [x_nchw * resize(w_nchw, x_nchw.shape[2:]) for x_nchw, w_nchw in zip(maps, weights, strict=True)]


class ConditionalChannelWeighting(nn.Module):
    """A shuffle block over several maps, with weights across maps and within each in place of 1 x 1 convolutions.

    Args:
        in_channels: Channels of each map, from the finest; even.
        reduce_ratio: By how much channels are squeezed for the weights across maps.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        reduce_ratio: int,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        halves = [channels // 2 for channels in in_channels]
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        self.cross_resolution_weighting = CrossResolutionWeighting(halves, reduce_ratio, **options)
        self.depthwise_convs = nn.ModuleList(
            ConvModule(half, half, 3, padding=1, groups=half, act_cfg=None, **options) for half in halves
        )
        self.spatial_weighting = nn.ModuleList(SELayer(half, ratio=4, divisor=1) for half in halves)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps ``(N, C_i, H_i, W_i)`` in and out."""
        if self.with_cp and any(x_nchw.requires_grad for x_nchw in maps):
            return checkpoint(self._weighted, *maps, use_reentrant=False)
        return self._weighted(*maps)

    def _weighted(self, *maps: Tensor) -> list[Tensor]:
        kept, changed = zip(*[x_nchw.chunk(2, dim=1) for x_nchw in maps], strict=True)
        layers = zip(self.depthwise_convs, self.spatial_weighting, strict=True)
        weighted = self.cross_resolution_weighting(changed)
        filtered = [weigh(conv(x_nchw)) for (conv, weigh), x_nchw in zip(layers, weighted, strict=True)]
        return [channel_shuffle(torch.cat(pair, dim=1), groups=2) for pair in zip(kept, filtered, strict=True)]


class LiteStem(nn.Module):
    """A strided convolution, then two branches over half of the channels each, both strided again, and shuffled.

    Args:
        in_channels: Channels of the image.
        stem_channels: Channels after the first convolution; even.
        out_channels: Output channels.
        expand_ratio: Channels inside the second branch divided by ``stem_channels``.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        in_channels: int,
        stem_channels: int,
        out_channels: int,
        expand_ratio: float,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
    ) -> None:
        super().__init__()
        half, mid = stem_channels // 2, round(stem_channels * expand_ratio)
        second = half if stem_channels == out_channels else stem_channels
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        strided: dict[str, Any] = {'stride': 2, 'padding': 1, **options}
        self.out_channels = out_channels
        self.conv1 = ConvModule(in_channels, stem_channels, 3, **strided)
        self.branch1 = nn.Sequential(
            ConvModule(half, half, 3, groups=half, act_cfg=None, **strided),
            ConvModule(half, out_channels - second, 1, **options),
        )
        self.expand_conv = ConvModule(half, mid, 1, **options)
        self.depthwise_conv = ConvModule(mid, mid, 3, groups=mid, act_cfg=None, **strided)
        self.linear_conv = ConvModule(mid, second, 1, **options)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / 4, W / 4)``."""
        first_nchw, second_nchw = self.conv1(x_nchw).chunk(2, dim=1)
        second_nchw = self.linear_conv(self.depthwise_conv(self.expand_conv(second_nchw)))
        return channel_shuffle(torch.cat((self.branch1(first_nchw), second_nchw), dim=1), groups=2)


class IterativeHead(nn.Module):
    """Add every map to the next finer one, from the coarsest on.

    Args:
        in_channels: Channels of each map, from the finest.
        norm_cfg: Config of the normalizations.
    """

    def __init__(self, in_channels: Sequence[int], norm_cfg: Mapping[str, Any] = BN) -> None:
        super().__init__()
        from_coarsest = [*in_channels[::-1], in_channels[0]]
        self.projects = nn.ModuleList(
            DepthwiseSeparableConvModule(before, after, 3, padding=1, norm_cfg=norm_cfg, dw_act_cfg=None)
            for before, after in itertools.pairwise(from_coarsest)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps ``(N, C_i, H_i, W_i)``, from the finest, to one of the finest's shape."""
        merged_nchw: Tensor | None = None
        for project, x_nchw in zip(self.projects, maps[::-1], strict=True):
            if merged_nchw is not None:
                # Bilinear with the corners in place, whatever the sizes: checkpoints were trained so.
                x_nchw = x_nchw + F.interpolate(merged_nchw, x_nchw.shape[2:], mode='bilinear', align_corners=True)
            merged_nchw = project(x_nchw)
        assert merged_nchw is not None
        return merged_nchw
