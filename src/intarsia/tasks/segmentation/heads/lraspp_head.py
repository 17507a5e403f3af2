"""A light decoder for mobile networks.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead


class WindowMeans(nn.Module):
    """Means over large windows; over the whole map where it is smaller than one.

    Args:
        side: Side of a window.
        stride: Distance of windows, down and to the right.
    """

    def __init__(self, side: int = 49, stride: tuple[int, int] = (16, 20)) -> None:
        super().__init__()
        self.side, self.stride = side, stride

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, H', W')``."""
        height, width = x_nchw.shape[2:]
        return F.avg_pool2d(x_nchw, (min(self.side, height), min(self.side, width)), self.stride)


@HEADS.register_module()
class LRASPPHead(BaseDecodeHead):
    """Means over large windows gate the channels of the last stage; earlier stages join it on the way up.

    "Searching for MobileNetV3" (Howard et al., 2019, arXiv:1905.02244), with two earlier stages instead of one.

    Args:
        branch_channels: Channels to which each earlier stage is reduced.
        input_transform: Must be ``'multiple_select'``.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``in_channels`` and
            ``in_index`` are lists.

    Raises:
        ValueError: Another input transform, or there is not one of ``branch_channels`` for each earlier stage.
    """

    def __init__(
        self,
        branch_channels: Sequence[int] = (32, 64),
        input_transform: Literal['multiple_select'] = 'multiple_select',
        **kwargs: Any,
    ) -> None:
        super().__init__(input_transform=input_transform, **kwargs)
        if input_transform != 'multiple_select':
            raise ValueError(f"LRASPPHead: input_transform must be 'multiple_select', not {input_transform!r}")
        *lower, top = self.in_channels
        if len(branch_channels) != len(lower):
            raise ValueError(
                f'LRASPPHead: branch_channels={tuple(branch_channels)} must have one number for each of '
                f'in_channels={self.in_channels} but the last'
            )
        conv = partial(ConvModule, kernel_size=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg, bias=False)
        self.convs, self.conv_ups = nn.Sequential(), nn.Sequential()
        for i, (channels, branch) in enumerate(zip(lower, branch_channels, strict=True)):
            self.convs.add_module(f'conv{i}', nn.Conv2d(channels, branch, 1, bias=False))
            self.conv_ups.add_module(f'conv_up{i}', conv(self.channels + branch, self.channels))
        self.conv_up_input = nn.Conv2d(self.channels, self.channels, 1)
        self.aspp_conv = conv(top, self.channels)
        gate = conv(top, self.channels, norm_cfg=None, act_cfg={'type': 'Sigmoid'})
        self.image_pool = nn.Sequential(WindowMeans(), gate)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        upsample = partial(resize, mode='bilinear', align_corners=self.align_corners)
        *lower, top = self._transform_inputs(feats)
        x_nchw = self.conv_up_input(self.aspp_conv(top) * upsample(self.image_pool(top), top.shape[2:]))
        for i in reversed(range(len(lower))):
            joined = [upsample(x_nchw, lower[i].shape[2:]), self.convs[i](lower[i])]
            x_nchw = self.conv_ups[i](torch.cat(joined, 1))
        return self.cls_seg(x_nchw)
