"""Layers that double the resolution of a map, by config.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import PLUGIN_LAYERS
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import Upsample

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}
TWICE: Mapping[str, Any] = {'scale_factor': 2, 'mode': 'bilinear', 'align_corners': False}


def run(layers: nn.Module, x_nchw: Tensor, with_cp: bool) -> Tensor:
    """Apply layers; ``with_cp`` computes their activations again in the backward pass."""
    return checkpoint(layers, x_nchw, use_reentrant=False) if with_cp and x_nchw.requires_grad else layers(x_nchw)


@PLUGIN_LAYERS.register_module()
class InterpConv(nn.Module):
    """Interpolate and convolve.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        with_cp: Compute activations again in the backward pass, to save memory.
        norm_cfg: Config of the normalization.
        act_cfg: Config of the activation.
        conv_cfg: Config of the convolution.
        conv_first: Convolve before interpolating.
        kernel_size: Size of the kernel.
        stride: Stride of the convolution.
        padding: Zeros on each side.
        upsample_cfg: Arguments of :class:`~intarsia.nn.resize.Upsample`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        with_cp: bool = False,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        *,
        conv_cfg: Mapping[str, Any] | None = None,
        conv_first: bool = False,
        kernel_size: int = 1,
        stride: int = 1,
        padding: int = 0,
        upsample_cfg: Mapping[str, Any] = TWICE,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        conv = ConvModule(
            in_channels, out_channels, kernel_size, stride, padding, conv_cfg=conv_cfg, norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )  # fmt: skip
        upsample = Upsample(**upsample_cfg)
        self.interp_upsample = nn.Sequential(conv, upsample) if conv_first else nn.Sequential(upsample, conv)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, 2 H, 2 W)``, or as ``upsample_cfg`` says."""
        return run(self.interp_upsample, x_nchw, self.with_cp)


@PLUGIN_LAYERS.register_module()
class DeconvModule(nn.Module):
    """Transposed convolution, normalization, activation.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        with_cp: Compute activations again in the backward pass, to save memory.
        norm_cfg: Config of the normalization.
        act_cfg: Config of the activation.
        kernel_size: Size of the kernel: ``scale_factor`` plus an even number.
        scale_factor: New size divided by the old one.

    Raises:
        ValueError: Kernel and factor do not go together.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        with_cp: bool = False,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        *,
        kernel_size: int = 4,
        scale_factor: int = 2,
    ) -> None:
        super().__init__()
        overlap = kernel_size - scale_factor
        if overlap < 0 or overlap % 2:
            raise ValueError(
                f'DeconvModule: kernel_size={kernel_size} must be scale_factor={scale_factor} or an even number more'
            )
        self.with_cp = with_cp
        self.deconv_upsamping = nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride=scale_factor, padding=overlap // 2),
            build_norm_layer(norm_cfg, out_channels)[1],
            build_activation_layer(act_cfg),
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H * scale_factor, W * scale_factor)``."""
        return run(self.deconv_upsamping, x_nchw, self.with_cp)
