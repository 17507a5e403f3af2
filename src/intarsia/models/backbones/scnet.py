"""SCNet: ResNet with self-calibrated convolutions.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.residual import BN, ResidualBlock
from intarsia.models.backbones.resnet import ResNet
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import resize


class SCConv(nn.Module):
    """A convolution whose result is gated, place by place, by a coarser view of its surroundings.

    State keys: ``k2`` (the coarse view), ``k3`` (what is gated), ``k4`` (what follows).

    Args:
        channels: Channels C of input and output.
        stride: Stride.
        pooling_r: By how much the coarse view is coarser.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        channels: int,
        stride: int,
        pooling_r: int = 4,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
    ) -> None:
        super().__init__()
        self.k2 = nn.Sequential(nn.AvgPool2d(pooling_r), *_conv_and_norm(channels, 1, conv_cfg, norm_cfg))
        self.k3 = nn.Sequential(*_conv_and_norm(channels, 1, conv_cfg, norm_cfg))
        self.k4 = nn.Sequential(*_conv_and_norm(channels, stride, conv_cfg, norm_cfg), nn.ReLU(inplace=True))

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)``, no smaller than the pooling, to ``(N, C, H / stride, W / stride)``."""
        gate_nchw = torch.sigmoid(x_nchw + resize(self.k2(x_nchw), x_nchw.shape[2:]))
        return self.k4(self.k3(x_nchw) * gate_nchw)


def _conv_and_norm(
    channels: int, stride: int, conv_cfg: Mapping[str, Any] | None, norm_cfg: Mapping[str, Any]
) -> list[nn.Module]:
    conv = build_conv_layer(conv_cfg, channels, channels, 3, stride=stride, padding=1, bias=False)
    return [conv, build_norm_layer(norm_cfg, channels)[1]]


class SCBottleneck(ResidualBlock):
    """Bottleneck of two halves: a plain convolution of the one, a :class:`SCConv` of the other.

    Arguments of :class:`~intarsia.models.backbones.residual.ResidualBlock`, no plugins; ``dilation`` is of no account.
    """

    default_expansion = 4
    conv3: nn.Module
    norm3_name: str

    def __init__(
        self, in_channels: int, out_channels: int, plugins: Sequence[Mapping[str, Any]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        if plugins:
            raise ValueError('an SCBottleneck has no place for plugins')
        half = self.mid_channels // 2
        self.add_conv(1, in_channels, half, 1)
        self.k1 = nn.Sequential(*_conv_and_norm(half, self.stride, self.conv_cfg, self.norm_cfg), nn.ReLU(inplace=True))
        self.add_conv(2, in_channels, half, 1)
        self.scconv = SCConv(half, self.stride, conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg)
        self.add_conv(3, 2 * half, out_channels, 1)

    @property
    def norm3(self) -> nn.Module:
        """Normalization of the third convolution."""
        return getattr(self, self.norm3_name)

    @property
    def last_norm(self) -> nn.Module:
        """Normalization of the third convolution."""
        return self.norm3

    def branch(self, x_nchw: Tensor) -> Tensor:
        """Both halves side by side, mixed by a 1 x 1 convolution."""
        plain_nchw = self.k1(self.relu(self.norm1(self.conv1(x_nchw))))
        calibrated_nchw = self.scconv(self.relu(self.norm2(self.conv2(x_nchw))))
        return self.norm3(self.conv3(torch.cat((plain_nchw, calibrated_nchw), dim=1)))


@BACKBONES.register_module()
class SCNet(ResNet):
    """ResNet whose bottlenecks calibrate half of their channels by a view of their surroundings.

    "Improving Convolutional Networks with Self-Calibrated Convolutions" (Liu et al., 2020, CVPR,
    doi:10.1109/CVPR42600.2020.01011). Images need at least 128 pixels a side.

    Args:
        depth: 50 or 101.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.resnet.ResNet`.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        50: (SCBottleneck, (3, 4, 6, 3)),
        101: (SCBottleneck, (3, 4, 23, 3)),
    }

    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(depth, **kwargs)
