"""The convolutions that heads are made of: they share the head's configs and keep the size of the map."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from intarsia.nn.conv_module import ConvModule
from intarsia.nn.depthwise_separable import DepthwiseSeparableConvModule
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead

MakeConv = Callable[..., Any]
"""Makes a layer from ``(in_channels, out_channels, kernel_size=1, dilation=1, **options)``."""


def convs_of(head: BaseDecodeHead) -> MakeConv:
    """Makes :class:`~intarsia.nn.conv_module.ConvModule` layers with the configs of a head."""
    return partial(_conv, ConvModule, conv_cfg=head.conv_cfg, norm_cfg=head.norm_cfg, act_cfg=head.act_cfg)


def separable_convs_of(head: BaseDecodeHead, **options: Any) -> MakeConv:
    """Makes depthwise separable layers with the configs of a head, which ``options`` override."""
    cfgs = {'norm_cfg': head.norm_cfg, 'act_cfg': head.act_cfg, **options}
    return partial(_conv, DepthwiseSeparableConvModule, **cfgs)


def _conv(
    layer: Callable[..., Any],
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    dilation: int = 1,
    **options: Any,
) -> Any:
    padding = kernel_size // 2 * dilation
    return layer(in_channels, out_channels, kernel_size, **{'padding': padding, 'dilation': dilation, **options})
