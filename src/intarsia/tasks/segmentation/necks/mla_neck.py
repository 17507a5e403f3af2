"""Layers of a vision transformer, each with those above it.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import NECKS
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.norm import build_norm_layer

LAYER_NORM: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6, 'requires_grad': True}


class MLAModule(nn.Module):
    """Project every map, add them up from the last to the first, and convolve each sum.

    Args:
        in_channels: Channels of each map.
        out_channels: Channels of each result.
        **kwargs: ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.channel_proj = nn.ModuleList(ConvModule(channels, out_channels, 1, **kwargs) for channels in in_channels)
        self.feat_extract = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, **kwargs) for _ in in_channels
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps of one size to as many ``(N, out_channels, H, W)``, that of the last map first."""
        projected = [conv(x_nchw) for conv, x_nchw in zip(self.channel_proj, inputs, strict=True)]
        sums = itertools.accumulate(reversed(projected))
        return tuple(conv(sum_nchw) for conv, sum_nchw in zip(self.feat_extract, sums, strict=True))


@NECKS.register_module()
class MLANeck(nn.Module):
    """Normalize maps of several layers and add them up from the last to the first.

    The multi-level aggregation of "Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with
    Transformers" (SETR; Zheng et al., 2021, arXiv:2012.15840).

    State keys: ``norm``, ``mla``.

    Args:
        in_channels: Channels of each map.
        out_channels: Channels of each output.
        norm_layer: Config of the normalization of the channels of each map.
        norm_cfg: Config of the normalizations of the convolutions.
        act_cfg: Config of their activations.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        norm_layer: Mapping[str, Any] = LAYER_NORM,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = tuple(in_channels), out_channels
        self.norm = nn.ModuleList(build_norm_layer(norm_layer, channels)[1] for channels in in_channels)
        self.mla = MLAModule(in_channels, out_channels, norm_cfg=norm_cfg, act_cfg=act_cfg)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps ``(N, in_channels[i], H, W)`` to as many ``(N, out_channels, H, W)``, that of the last map first.

        Raises:
            ValueError: There are more or fewer maps than ``in_channels``.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'MLANeck got {len(inputs)} maps, but in_channels has {len(self.in_channels)}')
        layers = zip(self.norm, inputs, strict=True)
        return self.mla([norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous() for norm, x in layers])
