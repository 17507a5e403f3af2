"""Inception with batch normalization.

Shapes: n frames, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import BatchNorm
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict


class Widths(NamedTuple):
    """Channels of an Inception module: of its branches, and before their convolutions of 3 x 3."""

    one: int
    three_before: int
    three: int
    double_before: int
    double: int
    pool: Literal['avg', 'max']
    pooled: int

    @property
    def halves(self) -> bool:
        """Whether it halves the resolution: it then has no branch of 1 x 1, and its pooling no convolution."""
        return self.pooled == 0


MODULES = {
    '3a': Widths(64, 64, 64, 64, 96, 'avg', 32),
    '3b': Widths(64, 64, 96, 64, 96, 'avg', 64),
    '3c': Widths(0, 128, 160, 64, 96, 'max', 0),
    '4a': Widths(224, 64, 96, 96, 128, 'avg', 128),
    '4b': Widths(192, 96, 128, 96, 128, 'avg', 128),
    '4c': Widths(160, 128, 160, 128, 160, 'avg', 96),
    '4d': Widths(96, 128, 192, 160, 192, 'avg', 96),
    '4e': Widths(0, 128, 192, 192, 256, 'max', 0),
    '5a': Widths(352, 192, 320, 160, 224, 'avg', 128),
    '5b': Widths(352, 192, 320, 192, 224, 'max', 128),
}
"""The table in the appendix of the paper."""


class InceptionModule(nn.Module):
    """Branches of different reach, joined.

    State keys: ``branch_1x1``, ``branch_3x3.0``, ``branch_3x3.1``, ``branch_double.0`` ... ``branch_double.2``,
    ``branch_pool.1``, as far as they are there.

    Args:
        in_channels: Channels of the input.
        widths: Channels of the branches.
        cfgs: Configs of convolution, normalization and activation.
    """

    def __init__(self, in_channels: int, widths: Widths, cfgs: Mapping[str, Any]) -> None:
        super().__init__()
        stride = 2 if widths.halves else 1

        def conv(before: int, after: int, kernel: int, stride: int = 1) -> ConvModule:
            return ConvModule(before, after, kernel, stride=stride, padding=kernel // 2, **cfgs)

        self.branch_1x1 = conv(in_channels, widths.one, 1) if widths.one else None
        self.branch_3x3 = nn.Sequential(
            conv(in_channels, widths.three_before, 1), conv(widths.three_before, widths.three, 3, stride)
        )
        self.branch_double = nn.Sequential(
            conv(in_channels, widths.double_before, 1),
            conv(widths.double_before, widths.double, 3),
            conv(widths.double, widths.double, 3, stride),
        )
        if widths.pool == 'avg':
            pooling: nn.Module = nn.AvgPool2d(3, stride=1, padding=1)
        else:
            pooling = nn.MaxPool2d(3, stride=stride, padding=1)
        self.branch_pool = nn.Sequential(pooling, *([conv(in_channels, widths.pooled, 1)] if widths.pooled else []))
        self.out_channels = widths.one + widths.three + widths.double + (widths.pooled or in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> ``(N, C', H', W')``."""
        branches = [] if self.branch_1x1 is None else [self.branch_1x1(x)]
        return torch.cat([*branches, self.branch_3x3(x), self.branch_double(x), self.branch_pool(x)], dim=1)


@BACKBONES.register_module()
class BNInception(Backbone):
    """The network that batch normalization was invented with, and the first of temporal segment networks.

    "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift" (Ioffe and Szegedy,
    2015, arXiv:1502.03167); "Temporal Segment Networks" (Wang et al., 2016, arXiv:1608.00859).

    State keys: ``conv1``, ``conv2.0``, ``conv2.1``, ``inception_3a`` ... ``inception_5b``.

    Args:
        pretrained: Weights to start from.
        in_channels: Channels of a frame.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        partial_bn: Freeze all batch norms but the first, as temporal segment networks do.
        init_cfg: How weights are initialized.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm']},
    )
    out_channels, strides = (1024,), (32,)

    def __init__(
        self,
        pretrained: str | None = None,
        in_channels: int = 3,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = dict(type='BN', requires_grad=True),
        act_cfg: Mapping[str, Any] = dict(type='ReLU'),
        norm_eval: bool = False,
        partial_bn: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.pretrained, self.norm_eval, self.partial_bn = pretrained, norm_eval, partial_bn
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.conv1 = ConvModule(in_channels, 64, 7, stride=2, padding=3, **cfgs)
        self.conv2 = nn.Sequential(ConvModule(64, 64, 1, **cfgs), ConvModule(64, 192, 3, padding=1, **cfgs))
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 192
        self.inceptions = [f'inception_{name}' for name in MODULES]
        for name, widths in zip(self.inceptions, MODULES.values(), strict=True):
            module = InceptionModule(channels, widths, cfgs)
            self.add_module(name, module)
            channels = module.out_channels

    def init_weights(self) -> None:
        """From ``pretrained``, or as ``init_cfg`` says."""
        super().init_weights()
        if self.pretrained is not None:
            load_state_dict(self, read_state_dict(find_weights(self.pretrained)), strict=False)

    def train(self, mode: bool = True) -> BNInception:
        """Switch to training, except for what is frozen, or to evaluation."""
        super().train(mode)
        if mode and self.partial_bn:
            for norm in [module for module in self.modules() if isinstance(module, BatchNorm)][1:]:
                norm.eval()
                norm.requires_grad_(False)
        return self

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features ``(N, 1024, H / 32, W / 32)`` of frames ``(N, C, H, W)``."""
        x = self.maxpool(self.conv2(self.maxpool(self.conv1(x))))
        for name in self.inceptions:
            x = getattr(self, name)(x)
        return (x,)
