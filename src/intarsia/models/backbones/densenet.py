"""DenseNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}


class DenseLayer(nn.Module):
    """A few new channels from all channels so far: a 1 x 1 and a 3 x 3 convolution, each after norm and activation.

    Args:
        in_channels: Channels so far.
        growth_rate: New channels.
        bn_size: Channels in between divided by new channels.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        drop_rate: Share of new values that are dropped.
        memory_efficient: Compute the first convolution again in the backward pass.
    """

    def __init__(
        self,
        in_channels: int,
        growth_rate: int,
        bn_size: int,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        drop_rate: float = 0.0,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        mid = bn_size * growth_rate
        self.norm1 = build_norm_layer(norm_cfg, in_channels)[1]
        self.conv1 = nn.Conv2d(in_channels, mid, 1, bias=False)
        self.act = build_activation_layer(act_cfg)
        self.norm2 = build_norm_layer(norm_cfg, mid)[1]
        self.conv2 = nn.Conv2d(mid, growth_rate, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(drop_rate)
        self.memory_efficient = memory_efficient

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps ``(N, C_i, H, W)`` whose channels together are ``in_channels`` to ``(N, growth_rate, H, W)``."""
        if self.memory_efficient and any(each.requires_grad for each in maps):
            x_nchw = checkpoint(self._squeezed, *maps, use_reentrant=False)
        else:
            x_nchw = self._squeezed(*maps)
        return self.dropout(self.conv2(self.act(self.norm2(x_nchw))))

    def _squeezed(self, *maps: Tensor) -> Tensor:
        return self.conv1(self.act(self.norm1(torch.cat(maps, dim=1))))


class DenseBlock(nn.Module):
    """Layers each of which sees the input and the output of all layers before it.

    Args:
        num_layers: Number of layers.
        in_channels: Input channels.
        growth_rate: Channels that each layer adds.
        **kwargs: Further arguments of :class:`DenseLayer`.
    """

    def __init__(self, num_layers: int, in_channels: int, growth_rate: int, **kwargs: Any) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            DenseLayer(in_channels + i * growth_rate, growth_rate, **kwargs) for i in range(num_layers)
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, in_channels + num_layers * growth_rate, H, W)``."""
        maps = [x_nchw]
        for layer in self.block:
            maps.append(layer(maps))
        return torch.cat(maps, dim=1)


class DenseTransition(nn.Sequential):
    """Normalize, activate, mix to fewer channels, halve the resolution.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        norm_cfg: Config of the normalization.
        act_cfg: Config of the activation.
    """

    def __init__(
        self, in_channels: int, out_channels: int, norm_cfg: Mapping[str, Any] = BN, act_cfg: Mapping[str, Any] = RELU
    ) -> None:
        super().__init__()
        self.add_module('norm', build_norm_layer(norm_cfg, in_channels)[1])
        self.add_module('act', build_activation_layer(act_cfg))
        self.add_module('conv', nn.Conv2d(in_channels, out_channels, 1, bias=False))
        self.add_module('pool', nn.AvgPool2d(2, 2))


@BACKBONES.register_module()
class DenseNet(Backbone):
    """Network each layer of which sees those before it in its stage.

    "Densely Connected Convolutional Networks" (Huang et al., 2016, arXiv:1608.06993).

    State keys: ``stem``, ``stages.I.block``, ``transitions``.

    Args:
        arch: ``'121'``, ``'161'``, ``'169'``, ``'201'``, or a dict with ``growth_rate``, ``depths`` and
            ``init_channels``.
        in_channels: Channels of the image.
        bn_size: Channels inside a layer divided by the growth rate.
        drop_rate: Share of new values that each layer drops.
        compression_factor: Channels after a transition divided by those before.
        memory_efficient: Compute the wide part of each layer again in the backward pass, to save memory.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        out_indices: Stages to output, each with the transition behind it; negative ones count from the end.
        frozen_stages: Freeze so many stages with their transitions.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {
        '121': {'growth_rate': 32, 'depths': (6, 12, 24, 16), 'init_channels': 64},
        '169': {'growth_rate': 32, 'depths': (6, 12, 32, 32), 'init_channels': 64},
        '201': {'growth_rate': 32, 'depths': (6, 12, 48, 32), 'init_channels': 64},
        '161': {'growth_rate': 48, 'depths': (6, 12, 36, 24), 'init_channels': 96},
    }
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('compression_factor',)
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            '121': (128, 256, 512, 1024), '169': (128, 256, 640, 1664), '201': (128, 256, 896, 1920),
            '161': (192, 384, 1056, 2208),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, Any] = '121',
        in_channels: int = 3,
        bn_size: int = 4,
        drop_rate: float = 0,
        compression_factor: float = 0.5,
        memory_efficient: bool = False,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        out_indices: int | Sequence[int] = -1,
        frozen_stages: int = 0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_settings, ('growth_rate', 'depths', 'init_channels'))
        depths, growth = settings['depths'], settings['growth_rate']
        self.out_indices = normalize_indices(out_indices, len(depths), 'DenseNet')
        if not 0 <= frozen_stages <= len(depths):
            raise ValueError(f'DenseNet: frozen_stages={frozen_stages} must lie in 0 ... {len(depths)}')
        self.frozen_stages = frozen_stages
        cfgs: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}

        channels = settings['init_channels']
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False),
            build_norm_layer(norm_cfg, channels)[1],
            build_activation_layer(act_cfg),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stages, self.transitions = nn.ModuleList(), nn.ModuleList()
        widths = []
        for i, depth in enumerate(depths):
            options = {'bn_size': bn_size, 'drop_rate': drop_rate, 'memory_efficient': memory_efficient, **cfgs}
            self.stages.append(DenseBlock(depth, channels, growth, **options))
            channels += depth * growth
            if i < len(depths) - 1:
                narrowed = math.floor(channels * compression_factor)
                self.transitions.append(DenseTransition(channels, narrowed, **cfgs))
                channels = narrowed
            else:
                norm = build_norm_layer(norm_cfg, channels)[1]
                self.transitions.append(nn.Sequential(norm, build_activation_layer(act_cfg)))
            widths.append(channels)
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(4 * 2 ** min(i + 1, len(depths) - 1) for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The first ``frozen_stages`` stages and the transitions behind them."""
        return [*self.stages[: self.frozen_stages], *self.transitions[: self.frozen_stages]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        x_nchw = self.stem(x)
        outs = []
        for i, (stage, transition) in enumerate(zip(self.stages, self.transitions, strict=True)):
            x_nchw = transition(stage(x_nchw))
            if i in self.out_indices:
                outs.append(x_nchw)
        return tuple(outs)
