"""Plain convolutions.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import MakeConv, convs_of


@HEADS.register_module()
class FCNHead(BaseDecodeHead):
    """A few convolutions in a row.

    "Fully Convolutional Networks for Semantic Segmentation" (Long et al., 2015, arXiv:1411.4038).

    Args:
        num_convs: Number of convolutions; with 0 ``in_channels`` must be ``channels``.
        kernel_size: Size of their kernels.
        concat_input: Join the input to their output, and apply one more.
        dilation: Their dilation.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.

    Raises:
        ValueError: There are no convolutions to change the number of channels.
    """

    def __init__(
        self,
        num_convs: int = 2,
        kernel_size: int = 3,
        concat_input: bool = True,
        dilation: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_convs == 0 and self.in_channels != self.channels:
            raise ValueError(
                f'{type(self).__name__}: num_convs=0 needs in_channels={self.in_channels} equal to '
                f'channels={self.channels}'
            )
        self.num_convs, self.kernel_size = num_convs, kernel_size
        self.concat_input, self.dilation = concat_input, dilation
        self._build_convs(convs_of(self))

    def _build_convs(self, conv: MakeConv) -> None:
        widths = [self.in_channels] + [self.channels] * self.num_convs
        layers = [conv(before, after, self.kernel_size, self.dilation) for before, after in pairwise(widths)]
        self.convs = nn.Sequential(*layers)
        if self.concat_input:
            self.conv_cat = conv(self.in_channels + self.channels, self.channels, self.kernel_size)

    def _forward_feature(self, feats: Features) -> Tensor:
        """The feature ``(N, channels, h, w)`` before the last convolution."""
        x_nchw = self._transform_inputs(feats)
        out_nchw = self.convolve(x_nchw)
        return self.conv_cat(torch.cat([x_nchw, out_nchw], 1)) if self.concat_input else out_nchw

    def convolve(self, x_nchw: Tensor) -> Tensor:
        """The convolutions in a row, and what a subclass puts between them."""
        return self.convs(x_nchw)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        return self.cls_seg(self._forward_feature(feats))
