"""ResNet for images of 32 x 32 pixels.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.resnet import ResNet
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.norm import build_norm_layer


@BACKBONES.register_module()
class ResNet_CIFAR(ResNet):  # noqa: N801 - its name in config files
    """ResNet whose stem is one 3 x 3 convolution of stride 1, without pooling.

    Args:
        depth: 18, 34, 50, 101 or 152.
        deep_stem: Must be False.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.resnet.ResNet`.
    """

    def __init__(self, depth: int, deep_stem: bool = False, **kwargs: Any) -> None:
        if deep_stem:
            raise ValueError('ResNet_CIFAR has a stem of its own: deep_stem must be False')
        super().__init__(depth, deep_stem=deep_stem, **kwargs)

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        self.conv1 = build_conv_layer(
            self.conv_cfg, in_channels, stem_channels, kernel_size=3, stride=1, padding=1, bias=False
        )
        self.norm1_name, norm1 = build_norm_layer(self.norm_cfg, stem_channels, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        x_nchw = self.relu(self.norm1(self.conv1(x)))
        outs = []
        for i, name in enumerate(self.res_layers):
            x_nchw = getattr(self, name)(x_nchw)
            if i in self.out_indices:
                outs.append(x_nchw)
        return tuple(outs)
