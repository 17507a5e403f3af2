"""Convolutions whose taps move with the input, without compiled code.

Shapes: n samples, c channels, o output channels, h rows, w columns, t taps of the kernel, d groups of channels that
move together, g groups of the convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.pair import as_pair


def sampled_taps(
    x_nchw: Tensor, offset_nchw: Tensor, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Tensor:
    """What each tap of a kernel sees at each place, ``(N, C, T, h, w)``; between pixels bilinear, 0 outside.

    Args:
        x_nchw: The input.
        offset_nchw: How far each tap is moved, ``(N, 2DT, h, w)``: for each of D groups and each tap y, then x.
        kernel: Height and width of the kernel.
        stride: Of the convolution.
        padding: Of the convolution.
        dilation: Of the convolution.

    Raises:
        ValueError: The offsets are not two for each tap of a number of groups that divides the channels.
    """
    (rows, columns), stride, padding, dilation = (as_pair(each) for each in (kernel, stride, padding, dilation))
    num_taps, (count, channels, height, width) = rows * columns, x_nchw.shape
    groups, rest = divmod(offset_nchw.shape[1], 2 * num_taps)
    if rest or not groups or channels % groups:
        raise ValueError(f'{offset_nchw.shape[1]} offsets for {num_taps} taps and {channels} channels')
    out_height, out_width = offset_nchw.shape[2:]
    offset = offset_nchw.reshape(count, groups, num_taps, 2, out_height, out_width)
    axes = [
        torch.arange(length, device=x_nchw.device, dtype=x_nchw.dtype) * step - pad
        for length, step, pad in ((out_height, stride[0], padding[0]), (out_width, stride[1], padding[1]))
    ]
    taps = torch.arange(num_taps, device=x_nchw.device)
    down, across = (taps // columns * dilation[0])[:, None], (taps % columns * dilation[1])[:, None]
    y = offset[:, :, :, 0] + (down + axes[0])[:, :, None]
    x = offset[:, :, :, 1] + (across + axes[1])[:, None, :]
    grid = torch.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], -1)
    seen = F.grid_sample(
        x_nchw.reshape(count * groups, -1, height, width),
        grid.reshape(count * groups, num_taps * out_height, out_width, 2),
        padding_mode='zeros',
        align_corners=True,
    )
    return seen.reshape(count, channels, num_taps, out_height, out_width)


class DeformConv2d(nn.Module):
    """A convolution that is told, for each place, where its taps are.

    "Deformable Convolutional Networks" (Dai et al., 2017, arXiv:1703.06211).

    State key: ``weight``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the kernel, or one number.
        stride: As of a convolution.
        padding: As of a convolution.
        dilation: As of a convolution.
        groups: Groups of channels that are convolved apart.
        deform_groups: Groups of channels with taps of their own.
        bias: Must be False.

    Raises:
        ValueError: There is to be a bias, or groups do not divide the channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if bias:
            raise ValueError('DeformConv2d has no bias')
        if in_channels % groups or out_channels % groups or in_channels % deform_groups:
            raise ValueError(f'{in_channels} and {out_channels} channels in {groups} and {deform_groups} groups')
        self.kernel_size = as_pair(kernel_size)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.deform_groups = groups, deform_groups
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        nn.init.kaiming_uniform_(self.weight, nonlinearity='relu')

    def forward(self, x_nchw: Tensor, offset_nchw: Tensor) -> Tensor:
        """Convolve ``(N, C, H, W)`` with taps moved by ``(N, 2DT, h, w)``, y before x; ``(N, O, h, w)``."""
        seen = sampled_taps(x_nchw, offset_nchw, self.kernel_size, self.stride, self.padding, self.dilation)
        taps_ngth = seen.flatten(3).reshape(len(x_nchw), self.groups, -1, seen.shape[3] * seen.shape[4])
        weight_got = self.weight.reshape(self.groups, -1, taps_ngth.shape[2])
        return (weight_got @ taps_ngth).reshape(len(x_nchw), -1, *seen.shape[3:])
