"""Convolutions whose kernels are standardized.

Shape suffixes: n samples, c channels, h height, w width; o, i output and input channels of a kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import CONV_LAYERS
from intarsia.nn.pair import Pair


@CONV_LAYERS.register_module(name='ConvWS')
class ConvWS2d(nn.Conv2d):
    """Convolution whose kernel has mean 0 and deviation 1 for every output channel.

    "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization" (Qiao et al., 2019,
    arXiv:1903.10520).

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Size of the kernel.
        stride: Stride.
        padding: Zeros on each side.
        dilation: Dilation.
        groups: Groups of channels.
        bias: Whether there is a bias.
        eps: Added to the deviation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)  # type: ignore[arg-type]
        self.eps = eps

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H', W')``."""
        std_o111, mean_o111 = torch.std_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        kernel_oihw = (self.weight - mean_o111) / (std_o111 + self.eps)
        return F.conv2d(x_nchw, kernel_oihw, self.bias, self.stride, self.padding, self.dilation, self.groups)


@CONV_LAYERS.register_module(name='ConvAWS')
class ConvAWS2d(nn.Conv2d):
    """Convolution with a standardized kernel whose first mean and deviation are kept as constants.

    "DetectoRS: Detecting Objects with Recursive Feature Pyramid and Switchable Atrous Convolution" (Qiao et al., 2020,
    arXiv:2006.02334). Weights of a plain convolution may be loaded: the constants are then taken from them, so that
    it computes the same. Arguments of ``nn.Conv2d``.

    State keys: ``weight``, ``weight_gamma``, ``weight_beta``, ``bias``.
    """

    weight_gamma: Tensor
    weight_beta: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)  # type: ignore[arg-type]
        self.register_buffer('weight_gamma', torch.ones(out_channels, 1, 1, 1))
        self.register_buffer('weight_beta', torch.zeros(out_channels, 1, 1, 1))
        self.register_load_state_dict_pre_hook(_constants_of_plain_weights)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H', W')``."""
        std_o111, mean_o111 = _deviation_and_mean(self.weight)
        kernel_oihw = self.weight_gamma * ((self.weight - mean_o111) / std_o111) + self.weight_beta
        return F.conv2d(x_nchw, kernel_oihw, self.bias, self.stride, self.padding, self.dilation, self.groups)


def _deviation_and_mean(kernel_oihw: Tensor) -> tuple[Tensor, Tensor]:
    var_o111, mean_o111 = torch.var_mean(kernel_oihw, dim=(1, 2, 3), keepdim=True)
    return (var_o111 + 1e-5).sqrt(), mean_o111


def _constants_of_plain_weights(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before loading: constants that are not there are those of the weights."""
    kernel_oihw = state.get(f'{prefix}weight')
    if kernel_oihw is not None and f'{prefix}weight_gamma' not in state:
        state[f'{prefix}weight_gamma'], state[f'{prefix}weight_beta'] = _deviation_and_mean(kernel_oihw)
