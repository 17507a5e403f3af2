"""CGNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, init_from
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}
PRELU: Mapping[str, Any] = {'type': 'PReLU'}


class GlobalContextExtractor(nn.Module):
    """Weigh channels by what the means of all say.

    Args:
        channels: Channels C of the map.
        reduction: C divided by the channels inside.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inside = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, inside), nn.ReLU(inplace=True), nn.Linear(inside, channels), nn.Sigmoid()
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return x_nchw * self.fc(x_nchw.mean((2, 3)))[:, :, None, None]


class ContextGuidedBlock(nn.Module):
    """Filter every channel near by and farther away, join both, and weigh channels.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        dilation: Dilation of the filter that looks farther.
        reduction: As :class:`GlobalContextExtractor` takes it.
        downsample: Whether the resolution is halved; only without, the input is added.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the first activation.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dilation: int,
        reduction: int,
        downsample: bool = False,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = PRELU,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp, self.downsample = with_cp, downsample
        width, kernel, stride = (out_channels, 3, 2) if downsample else (out_channels // 2, 1, 1)
        self.conv1x1 = ConvModule(
            in_channels, width, kernel, stride, kernel // 2, conv_cfg=conv_cfg, norm_cfg=norm_cfg,
            act_cfg=per_channel(act_cfg, width),
        )  # fmt: skip
        near: dict[str, Any] = {'kernel_size': 3, 'groups': width, 'bias': False}
        self.f_loc = build_conv_layer(conv_cfg, width, width, padding=1, **near)
        self.f_sur = build_conv_layer(conv_cfg, width, width, padding=dilation, dilation=dilation, **near)
        self.bn = build_norm_layer(norm_cfg, 2 * width)[1]
        self.activate = nn.PReLU(2 * width)
        if downsample:
            self.bottleneck = build_conv_layer(conv_cfg, 2 * width, out_channels, 1, bias=False)
        self.f_glo = GlobalContextExtractor(out_channels, reduction)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``, or half as high and wide."""
        if self.with_cp and x_nchw.requires_grad:
            out_nchw = checkpoint(self._branch, x_nchw, use_reentrant=False)
        else:
            out_nchw = self._branch(x_nchw)
        return out_nchw if self.downsample else x_nchw + out_nchw

    def _branch(self, x_nchw: Tensor) -> Tensor:
        out_nchw = self.conv1x1(x_nchw)
        joined_nchw = self.activate(self.bn(torch.cat((self.f_loc(out_nchw), self.f_sur(out_nchw)), dim=1)))
        return self.f_glo(self.bottleneck(joined_nchw) if self.downsample else joined_nchw)


@BACKBONES.register_module()
class CGNet(Backbone):
    """Small network whose blocks look near by, around and at the whole; smaller images join in on the way.

    "CGNet: A Light-weight Context Guided Network for Semantic Segmentation" (Wu et al., 2018, arXiv:1811.08201).

    State keys: ``stem``, ``norm_prelu_0``, ``level1``, ``norm_prelu_1``, ``level2``, ``norm_prelu_2``.

    Args:
        in_channels: Channels of the image.
        num_channels: Channels of the stem and of the two levels.
        num_blocks: Blocks of each level; the first halves the resolution.
        dilations: Dilation of the blocks of each level.
        reductions: Reduction of the weights of channels of each level.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations of the stem and of the first in each block.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There are not three numbers of channels and two of everything else.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d', 'Linear']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
        {'type': 'Constant', 'val': 0, 'layer': 'PReLU'},
    )

    def __init__(
        self,
        in_channels: int = 3,
        num_channels: Sequence[int] = (32, 64, 128),
        num_blocks: Sequence[int] = (3, 21),
        dilations: Sequence[int] = (2, 4),
        reductions: Sequence[int] = (8, 16),
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = PRELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        if len(num_channels) != 3 or not len(num_blocks) == len(dilations) == len(reductions) == 2:
            raise ValueError(
                'CGNet takes three num_channels, two num_blocks, dilations and reductions, '
                f'not {num_channels}, {num_blocks}, {dilations} and {reductions}'
            )
        self.norm_eval = norm_eval
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        width = num_channels[0]
        self.stem = nn.ModuleList(
            ConvModule(
                width if i else in_channels, width, 3, 1 if i else 2, 1, act_cfg=per_channel(act_cfg, width), **cfgs
            )
            for i in range(3)
        )
        self.halve = nn.AvgPool2d(3, stride=2, padding=1)
        options: dict[str, Any] = {**cfgs, 'act_cfg': act_cfg, 'with_cp': with_cp}
        widths = [width + in_channels]
        self.norm_prelu_0 = _norm_prelu(norm_cfg, widths[0])
        for i, (dilation, reduction) in enumerate(zip(dilations, reductions, strict=True)):
            before, after = widths[i], num_channels[i + 1]
            blocks = [ContextGuidedBlock(before, after, dilation, reduction, downsample=True, **options)]
            blocks += [
                ContextGuidedBlock(after, after, dilation, reduction, **options) for _ in range(num_blocks[i] - 1)
            ]
            self.add_module(f'level{i + 1}', nn.ModuleList(blocks))
            widths.append(2 * after + (in_channels if i == 0 else 0))
            self.add_module(f'norm_prelu_{i + 1}', _norm_prelu(norm_cfg, widths[-1]))
        self.norm_prelu_1: nn.Module
        self.norm_prelu_2: nn.Module
        self.out_channels, self.strides = tuple(widths), (2, 4, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the stem and of both levels."""
        x_nchw, half_nchw = x, self.halve(x)
        for layer in self.stem:
            x_nchw = layer(x_nchw)
        outs = [self.norm_prelu_0(torch.cat((x_nchw, half_nchw), dim=1))]
        x_nchw, first_nchw = _run(self.level1, outs[0])
        outs.append(self.norm_prelu_1(torch.cat((x_nchw, first_nchw, self.halve(half_nchw)), dim=1)))
        x_nchw, first_nchw = _run(self.level2, outs[1])
        outs.append(self.norm_prelu_2(torch.cat((first_nchw, x_nchw), dim=1)))
        return tuple(outs)


def _run(level: Any, x_nchw: Tensor) -> tuple[Tensor, Tensor]:
    """What comes out of the last and of the first block of a level."""
    first, *others = level
    first_nchw = x_nchw = first(x_nchw)
    for block in others:
        x_nchw = block(x_nchw)
    return x_nchw, first_nchw


def per_channel(act_cfg: Mapping[str, Any], channels: int) -> Mapping[str, Any]:
    """The config of an activation; a PReLU gets a slope for every channel."""
    return {**act_cfg, 'num_parameters': channels} if act_cfg.get('type') == 'PReLU' else act_cfg


def _norm_prelu(norm_cfg: Mapping[str, Any], channels: int) -> nn.Module:
    return nn.Sequential(build_norm_layer(norm_cfg, channels)[1], nn.PReLU(channels))
