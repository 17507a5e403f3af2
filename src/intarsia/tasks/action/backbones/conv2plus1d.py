"""A convolution of clips taken apart into one of space and one of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import CONV_LAYERS
from intarsia.nn.init import constant_init, kaiming_init
from intarsia.nn.norm import build_norm_layer

Triple = int | Sequence[int]


@CONV_LAYERS.register_module()
class Conv2plus1d(nn.Module):
    """A convolution in space, a normalization, an activation, and a convolution in time.

    "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (Tran et al., 2017, arXiv:1711.11248). There
    are as many channels between both as make the number of parameters that of one convolution of 3 x H x W.

    State keys: ``conv_s``, ``bn_s``, ``conv_t``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: One number, or ``(t, h, w)``.
        stride: Likewise.
        padding: Likewise.
        dilation: Of no effect.
        groups: Of no effect.
        bias: Whether the convolutions have biases.
        norm_cfg: Config of the normalization.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Triple,
        stride: Triple = 1,
        padding: Triple = 0,
        dilation: Triple = 1,
        groups: int = 1,
        bias: bool = True,
        norm_cfg: Mapping[str, Any] = dict(type='BN3d'),
    ) -> None:
        super().__init__()
        kernel, step, pad = _triple(kernel_size), _triple(stride), _triple(padding)
        area = kernel[1] * kernel[2]
        channels = int(3 * in_channels * out_channels * area / (in_channels * area + 3 * out_channels))
        self.in_channels, self.out_channels, self.kernel_size, self.stride = in_channels, out_channels, kernel, step
        self.padding, self.dilation, self.groups = pad, dilation, groups
        self.output_padding, self.transposed = (0, 0, 0), False
        self.conv_s = nn.Conv3d(in_channels, channels, (1, *kernel[1:]), (1, *step[1:]), (0, *pad[1:]), bias=bias)
        self.bn_s = build_norm_layer(norm_cfg, channels)[1]
        self.relu = nn.ReLU(inplace=True)
        self.conv_t = nn.Conv3d(channels, out_channels, (kernel[0], 1, 1), (step[0], 1, 1), (pad[0], 0, 0), bias=bias)
        self.init_weights()

    def init_weights(self) -> None:
        """As He et al. do it."""
        kaiming_init(self.conv_s)
        kaiming_init(self.conv_t)
        constant_init(self.bn_s, 1, bias=0)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, T, H, W)`` in and out."""
        return self.conv_t(self.relu(self.bn_s(self.conv_s(x))))


def _triple(value: Triple) -> tuple[int, int, int]:
    if isinstance(value, int):
        return value, value, value
    t, h, w = value
    return t, h, w
