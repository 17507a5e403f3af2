"""Two residual networks that see a clip at two speeds.

Shapes: n clips, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.backbones.resnet3d import ResNet3d

SLOW: Mapping[str, Any] = {'lateral': True, 'conv1_kernel': (1, 7, 7), 'inflate': (0, 0, 1, 1)}
FAST: Mapping[str, Any] = {'base_channels': 8, 'conv1_kernel': (5, 7, 7)}


class ResNet3dPathway(ResNet3d):
    """One pathway: a residual network, and convolutions that bring features of the other one to its speed.

    State keys besides those of :class:`~intarsia.tasks.action.backbones.resnet3d.ResNet3d`: ``conv1_lateral``,
    ``layerI_lateral``.

    Args:
        depth: As of :class:`~intarsia.tasks.action.backbones.resnet3d.ResNet3d`.
        pretrained: As there.
        lateral: Whether the other pathway's features are joined to each stage's input.
        lateral_norm: Whether normalization and activation follow those convolutions.
        speed_ratio: How much more often the other pathway looks.
        channel_ratio: How many times fewer channels it has.
        fusion_kernel: Kernel in time of those convolutions.
        kwargs: Further arguments of ``ResNet3d``.
    """

    def __init__(
        self,
        depth: int = 50,
        pretrained: str | None = None,
        lateral: bool = False,
        lateral_norm: bool = False,
        speed_ratio: int = 8,
        channel_ratio: int = 8,
        fusion_kernel: int = 5,
        **kwargs: Any,
    ) -> None:
        self.lateral, self.channel_ratio = lateral, channel_ratio
        super().__init__(depth, pretrained, **kwargs)
        options: dict[str, Any] = {
            'kernel_size': (fusion_kernel, 1, 1),
            'stride': (speed_ratio, 1, 1),
            'padding': ((fusion_kernel - 1) // 2, 0, 0),
            'bias': False,
            'conv_cfg': self.options.conv_cfg,
            'norm_cfg': self.options.norm_cfg if lateral_norm else None,
            'act_cfg': self.options.act_cfg if lateral_norm else None,
        }
        names = ['conv1', *self.res_layers[:-1]]
        width, expansion = self.base_channels, self.block.expansion
        widths = [width, *(width * 2**i * expansion for i in range(len(names) - 1))]
        for name, width in zip(names, widths, strict=True) if lateral else ():
            part = ConvModule(width // channel_ratio, self.lateral_channels(width), **options)
            self.add_module(f'{name}_lateral', part)

    def lateral_channels(self, channels: int) -> int:
        """Twice the channels that the other pathway has."""
        return channels * 2 // self.channel_ratio if self.lateral else 0

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The stem and the first stages, with what joins the other pathway after the latter."""
        yield from super().frozen_parts()
        if self.lateral:
            for name in self.res_layers[:-1][: max(self.frozen_stages, 0)]:
                yield getattr(self, f'{name}_lateral')


@BACKBONES.register_module()
class ResNet3dSlowFast(Backbone):
    """A slow pathway that sees what there is, and a thin fast one that sees how it moves.

    "SlowFast Networks for Video Recognition" (Feichtenhofer et al., 2018, arXiv:1812.03982). State keys: ``slow_path``,
    ``fast_path``.

    Args:
        pretrained: Weights to start from.
        resample_rate: The slow pathway sees every so-manieth frame of the clip.
        speed_ratio: How much more often the fast pathway looks.
        channel_ratio: How many times fewer channels it has.
        slow_pathway: Arguments of :class:`ResNet3dPathway`; a ``type`` may be given, and is ``'resnet3d'``.
        fast_pathway: Likewise.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: A pathway is of another type.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        resample_rate: int = 8,
        speed_ratio: int = 8,
        channel_ratio: int = 8,
        slow_pathway: Mapping[str, Any] = SLOW,
        fast_pathway: Mapping[str, Any] = FAST,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.pretrained = pretrained
        self.resample_rate, self.speed_ratio = resample_rate, speed_ratio
        ratios = {'speed_ratio': speed_ratio, 'channel_ratio': channel_ratio} if slow_pathway.get('lateral') else {}
        self.slow_path = _pathway({**slow_pathway, **ratios})
        self.fast_path = _pathway(fast_pathway)
        self.out_channels = (*self.slow_path.out_channels, *self.fast_path.out_channels)
        self.strides = (*self.slow_path.strides, *self.fast_path.strides)

    def init_weights(self) -> None:
        """From ``pretrained``, or each pathway as it says."""
        if self.pretrained is None:
            super().init_weights()
        else:
            load_state_dict(self, read_state_dict(find_weights(self.pretrained)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of clips ``(N, C, T, H, W)``: of the slow pathway, and of the fast one."""
        slow, fast = self.slow_path, self.fast_path
        x_slow = slow.stem(_every(x, self.resample_rate))
        x_fast = fast.stem(_every(x, self.resample_rate // self.speed_ratio))
        for name, join in zip(slow.res_layers, ['conv1', *slow.res_layers[:-1]], strict=True):
            if slow.lateral:
                x_slow = torch.cat([x_slow, getattr(slow, f'{join}_lateral')(x_fast)], dim=1)
            x_slow, x_fast = getattr(slow, name)(x_slow), getattr(fast, name)(x_fast)
        return x_slow, x_fast


def _pathway(options: Mapping[str, Any]) -> ResNet3dPathway:
    options = dict(options)
    kind = options.pop('type', 'resnet3d')
    if kind != 'resnet3d':
        raise ValueError(f"ResNet3dSlowFast: a pathway is of type 'resnet3d', not {kind!r}")
    return ResNet3dPathway(**options)


def _every(clip_ncthw: Tensor, step: int) -> Tensor:
    """Every ``step``-th frame."""
    return F.interpolate(clip_ncthw, mode='nearest', scale_factor=(1.0 / step, 1.0, 1.0))
