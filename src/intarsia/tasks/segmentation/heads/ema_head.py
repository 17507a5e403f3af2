"""A map rebuilt from a few bases that are fitted to it.

Shapes: n images, c channels, k bases (or classes), h rows, w columns, l pixels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of


class ExpectationMaximization(nn.Module):
    """Fits bases to the pixels of each image by a few rounds of expectation and maximization, and rebuilds the map.

    No gradient flows through it: the bases where the rounds begin are learned as a moving average.

    Args:
        channels: Channels C of the map.
        num_bases: Number of bases K.
        num_stages: Rounds.
        momentum: Weight of the present batch in the moving average.
    """

    bases: Tensor

    def __init__(self, channels: int, num_bases: int, num_stages: int, momentum: float) -> None:
        super().__init__()
        if num_stages < 1:
            raise ValueError(f'EMAHead: num_stages must be 1 or more, not {num_stages}')
        self.num_stages, self.momentum = num_stages, momentum
        first = torch.randn(1, channels, num_bases) * math.sqrt(2 / num_bases)
        self.register_buffer('bases', F.normalize(first, dim=1))

    @torch.no_grad()
    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        x_ncl = x_nchw.flatten(2)
        bases_nck = self.bases.expand(len(x_ncl), -1, -1)
        for _ in range(self.num_stages):
            share_nlk = (x_ncl.transpose(1, 2) @ bases_nck).softmax(2)
            bases_nck = F.normalize(x_ncl @ F.normalize(share_nlk, p=1, dim=1), dim=1)
        if self.training:
            self._remember(bases_nck)
        return (bases_nck @ share_nlk.transpose(1, 2)).view_as(x_nchw)

    def _remember(self, bases_nck: Tensor) -> None:
        mean_1ck = bases_nck.mean(0, keepdim=True)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(mean_1ck.div_(distributed.get_world_size()))
        self.bases.lerp_(F.normalize(mean_1ck, dim=1).to(self.bases.dtype), self.momentum)


@HEADS.register_module()
class EMAHead(BaseDecodeHead):
    """Adds to every pixel its reconstruction from a few bases, which is free of noise.

    "Expectation-Maximization Attention Networks for Semantic Segmentation" (Li et al., 2019, arXiv:1907.13426).

    Args:
        ema_channels: Channels of the map that is rebuilt.
        num_bases: Number of bases.
        num_stages: Rounds of fitting them.
        concat_input: Join the input to the result, and apply one more convolution.
        momentum: Weight of the present batch in the bases where the rounds begin.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.
    """

    def __init__(
        self,
        ema_channels: int,
        num_bases: int,
        num_stages: int,
        concat_input: bool = True,
        momentum: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        conv, self.concat_input = convs_of(self), concat_input
        self.ema_module = ExpectationMaximization(ema_channels, num_bases, num_stages, momentum)
        self.ema_in_conv = conv(self.in_channels, ema_channels, 3)
        # Positive features to any; fixed, because no gradient would reach it.
        self.ema_mid_conv = conv(ema_channels, ema_channels, norm_cfg=None, act_cfg=None).requires_grad_(False)
        self.ema_out_conv = conv(ema_channels, ema_channels, act_cfg=None)
        self.bottleneck = conv(ema_channels, self.channels, 3)
        if concat_input:
            self.conv_cat = conv(self.in_channels + self.channels, self.channels, 3)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        x_nchw = self._transform_inputs(feats)
        projected = self.ema_in_conv(x_nchw)
        rebuilt = self.ema_out_conv(F.relu(self.ema_module(self.ema_mid_conv(projected))))
        out = self.bottleneck(F.relu(projected + rebuilt))
        return self.cls_seg(self.conv_cat(torch.cat([x_nchw, out], 1)) if self.concat_input else out)
