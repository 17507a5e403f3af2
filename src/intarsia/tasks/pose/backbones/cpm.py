"""Convolutional pose machines.

Shape suffixes: n samples, k joints, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.small_normal import SmallNormalBackbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}


class CPMStage(nn.Module):
    """Three large convolutions over the maps of the stage before and a view of the image.

    Args:
        in_channels: Input channels.
        feat_channels: Output channels.
        norm_cfg: Config of the normalizations.
    """

    def __init__(self, in_channels: int, feat_channels: int, norm_cfg: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = nn.Sequential(
            *[_conv(channels, feat_channels, 11, norm_cfg) for channels in (in_channels, feat_channels, feat_channels)]
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, feat_channels, H, W)``."""
        return self.model(x_nchw)


@BACKBONES.register_module()
class CPM(SmallNormalBackbone):
    """Stages that each correct the heat maps of the one before.

    "Convolutional Pose Machines" (Wei et al., 2016, arXiv:1602.00134). An output is the heat maps of a stage.

    State keys: ``stem``, ``middle``, ``cpm_stages``, ``middle_conv``, ``out_convs``.

    Args:
        in_channels: Channels of the image.
        out_channels: Number of joints K.
        feat_channels: Channels inside a stage.
        middle_channels: Channels of the view of the image that a stage gets.
        num_stages: Number of stages.
        norm_cfg: Config of the normalizations.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``num_stages`` is below 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        feat_channels: int = 128,
        middle_channels: int = 32,
        num_stages: int = 6,
        norm_cfg: Mapping[str, Any] = BN,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_stages < 1:
            raise ValueError(f'CPM: num_stages={num_stages} must be at least 1')
        self.num_stages = num_stages
        self.out_channels, self.strides = (out_channels,) * num_stages, (8,) * num_stages
        self.stem = nn.Sequential(
            *_pooled_convs(in_channels, norm_cfg),
            _conv(128, 32, 5, norm_cfg),
            _conv(32, 512, 9, norm_cfg),
            _conv(512, 512, 1, norm_cfg),
            ConvModule(512, out_channels, 1, act_cfg=None),
        )
        self.middle = nn.Sequential(*_pooled_convs(in_channels, norm_cfg))
        later = range(num_stages - 1)
        seen = middle_channels + out_channels
        self.cpm_stages = nn.ModuleList(CPMStage(seen, feat_channels, norm_cfg) for _ in later)
        self.middle_conv = nn.ModuleList(nn.Sequential(_conv(128, middle_channels, 5, norm_cfg)) for _ in later)
        self.out_convs = nn.ModuleList(
            nn.Sequential(
                _conv(feat_channels, feat_channels, 1, norm_cfg),
                ConvModule(feat_channels, out_channels, 1, act_cfg=None),
            )
            for _ in later
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the heat maps of all stages, ``(N, K, H / 8, W / 8)``."""
        view_nchw = self.middle(x)
        heatmaps = [self.stem(x)]
        for view_of, stage, out in zip(self.middle_conv, self.cpm_stages, self.out_convs, strict=True):
            heatmaps.append(out(stage(torch.cat((heatmaps[-1], view_of(view_nchw)), dim=1))))
        return tuple(heatmaps)


def _conv(in_channels: int, out_channels: int, kernel_size: int, norm_cfg: Mapping[str, Any]) -> ConvModule:
    return ConvModule(in_channels, out_channels, kernel_size, padding=kernel_size // 2, norm_cfg=norm_cfg)


def _pooled_convs(in_channels: int, norm_cfg: Mapping[str, Any]) -> list[nn.Module]:
    """Three convolutions, each with a pooling that halves the resolution."""
    layers: list[nn.Module] = []
    for channels in (in_channels, 128, 128):
        layers += [_conv(channels, 128, 9, norm_cfg), nn.MaxPool2d(kernel_size=3, stride=2, padding=1)]
    return layers
