"""A convolution of each channel by itself, then one that mixes the channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.nn.conv_module import RELU, ConvModule
from intarsia.nn.pair import Pair

ConfigOrDefault = Mapping[str, Any] | Literal['default'] | None


class DepthwiseSeparableConvModule(nn.Module):
    """Two convolutions in place of one: depthwise, then pointwise, each with normalization and activation.

    "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications" (Howard et al., 2017,
    arXiv:1704.04861). State keys: ``depthwise_conv``, ``pointwise_conv``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Size of the depthwise kernel.
        stride: Stride of the depthwise convolution.
        padding: Zeros on each side, of the depthwise convolution.
        dilation: Dilation of the depthwise convolution.
        norm_cfg: Config of both normalizations; None means none.
        act_cfg: Config of both activations; None means none.
        dw_norm_cfg: Another one after the depthwise convolution; ``'default'`` means ``norm_cfg``.
        dw_act_cfg: Another one after the depthwise convolution; ``'default'`` means ``act_cfg``.
        pw_norm_cfg: Another one after the pointwise convolution; ``'default'`` means ``norm_cfg``.
        pw_act_cfg: Another one after the pointwise convolution; ``'default'`` means ``act_cfg``.
        **kwargs: Further arguments of both :class:`~intarsia.nn.conv_module.ConvModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = RELU,
        dw_norm_cfg: ConfigOrDefault = 'default',
        dw_act_cfg: ConfigOrDefault = 'default',
        pw_norm_cfg: ConfigOrDefault = 'default',
        pw_act_cfg: ConfigOrDefault = 'default',
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.depthwise_conv = ConvModule(
            in_channels, in_channels, kernel_size, stride, padding, dilation, groups=in_channels,
            norm_cfg=_chosen(dw_norm_cfg, norm_cfg), act_cfg=_chosen(dw_act_cfg, act_cfg), **kwargs,
        )  # fmt: skip
        self.pointwise_conv = ConvModule(
            in_channels, out_channels, 1,
            norm_cfg=_chosen(pw_norm_cfg, norm_cfg), act_cfg=_chosen(pw_act_cfg, act_cfg), **kwargs,
        )  # fmt: skip

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H', W')``."""
        return self.pointwise_conv(self.depthwise_conv(x_nchw))


def _chosen(own: ConfigOrDefault, default: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return default if isinstance(own, str) else own
