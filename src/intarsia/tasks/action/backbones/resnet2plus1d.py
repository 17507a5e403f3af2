"""R(2+1)D: a residual network whose convolutions are taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from intarsia.core.registries import BACKBONES
from intarsia.tasks.action.backbones.resnet3d import ResNet3d

CONV: Mapping[str, Any] = {'type': 'Conv2plus1d'}


@BACKBONES.register_module()
class ResNet2Plus1d(ResNet3d):
    """:class:`~intarsia.tasks.action.backbones.resnet3d.ResNet3d` of convolutions in space and in time.

    "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (Tran et al., 2017, arXiv:1711.11248).
    Arguments as there; frames are not pooled after the first stage, and the output is that of the last.

    Raises:
        ValueError: ``pretrained2d`` is True, or the convolutions are others.
    """

    def __init__(
        self,
        depth: int = 34,
        pretrained: str | None = None,
        pretrained2d: bool = False,
        conv_cfg: Mapping[str, Any] = CONV,
        **kwargs: Any,
    ) -> None:
        if pretrained2d or conv_cfg.get('type') != 'Conv2plus1d':
            raise ValueError("ResNet2Plus1d: conv_cfg is dict(type='Conv2plus1d'), and pretrained2d False")
        super().__init__(depth, pretrained, pretrained2d=pretrained2d, conv_cfg=conv_cfg, **kwargs)
        self.out_channels, self.strides = self.out_channels[-1:], self.strides[-1:]

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features of the last stage for clips ``(N, C, T, H, W)``."""
        x = self.maxpool(self.conv1(x))
        for name in self.res_layers:
            x = getattr(self, name)(x)
        return (x,)
