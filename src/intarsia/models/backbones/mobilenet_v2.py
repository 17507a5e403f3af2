"""MobileNetV2.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.nn.channels import make_divisible
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg

BN: Mapping[str, Any] = {'type': 'BN'}
RELU6: Mapping[str, Any] = {'type': 'ReLU6'}


class LinearBottleneck(BaseModule):
    """Widen, filter every channel by itself, narrow without activation; added to the input where shapes allow.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        stride: 1 or 2.
        expand_ratio: Channels inside divided by input channels; 1 leaves out the widening.
        dilation: Dilation of the filter.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expand_ratio: float,
        dilation: int = 1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU6,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f'stride must be 1 or 2, not {stride}')
        self.with_cp = with_cp
        self.use_res_connect = stride == 1 and in_channels == out_channels
        hidden = round(in_channels * expand_ratio)
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        layers = [] if expand_ratio == 1 else [ConvModule(in_channels, hidden, 1, act_cfg=act_cfg, **options)]
        self.conv = nn.Sequential(
            *layers,
            ConvModule(hidden, hidden, 3, stride, dilation, dilation, groups=hidden, act_cfg=act_cfg, **options),
            ConvModule(hidden, out_channels, 1, act_cfg=None, **options),
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.with_cp and x_nchw.requires_grad:
            out_nchw = checkpoint(self.conv, x_nchw, use_reentrant=False)
        else:
            out_nchw = self.conv(x_nchw)
        return x_nchw + out_nchw if self.use_res_connect else out_nchw


class Stage(NamedTuple):
    """A row of the architecture table."""

    expand_ratio: int
    channels: int
    num_blocks: int


@BACKBONES.register_module()
class MobileNetV2(Backbone):
    """Network of inverted residuals with linear bottlenecks.

    "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler et al., 2018, arXiv:1801.04381).

    State keys: ``conv1``, ``layer1`` ... ``layer7``, ``conv2``.

    Args:
        widen_factor: Factor of all channel counts.
        out_indices: Stages to output: 0 ... 6 are ``layer1`` ... ``layer7``, 7 is ``conv2``.
        frozen_stages: Freeze ``conv1`` (0) and so many layers; -1 freezes nothing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        strides: Stride of each layer.
        dilations: Dilation of the first block of each layer.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``out_indices`` or ``frozen_stages`` lie outside of the stages, or there are not seven strides and
            dilations.
    """

    has_last_conv: ClassVar[bool] = True
    """Whether ``conv2`` widens the last map for a classifier."""
    arch_settings: ClassVar[tuple[Stage, ...]] = (
        Stage(1, 16, 1),
        Stage(6, 24, 2),
        Stage(6, 32, 3),
        Stage(6, 64, 4),
        Stage(6, 96, 3),
        Stage(6, 160, 3),
        Stage(6, 320, 1),
    )
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (7,),
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU6,
        norm_eval: bool = False,
        with_cp: bool = False,
        strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1),
        dilations: Sequence[int] = (1, 1, 1, 1, 1, 1, 1),
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        num_layers, name = len(self.arch_settings), type(self).__name__
        num_stages = num_layers + int(self.has_last_conv)
        if frozen_stages not in range(-1, num_stages):
            raise ValueError(f'{name}: frozen_stages={frozen_stages} must lie in -1 ... {num_stages - 1}')
        if not len(strides) == len(dilations) == num_layers:
            raise ValueError(f'{name}: {num_layers} layers, but strides={strides} and dilations={dilations}')
        self.out_indices = normalize_indices(out_indices, num_stages, name)
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        layer_cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        options = {**layer_cfgs, 'with_cp': with_cp}

        widths = [make_divisible(32 * widen_factor, 8)]
        self.conv1 = ConvModule(3, widths[0], 3, stride=2, padding=1, **layer_cfgs)
        self.layers: list[str] = []
        stage_strides = list(itertools.accumulate(strides, operator.mul, initial=2))[1:]
        for i, stage in enumerate(self.arch_settings):
            widths.append(make_divisible(stage.channels * widen_factor, 8))
            # Only the first block of a layer changes channels and resolution, or is dilated.
            kinds = [(widths[i], strides[i], dilations[i]), *[(widths[i + 1], 1, 1)] * (stage.num_blocks - 1)]
            blocks = [
                LinearBottleneck(channels, widths[i + 1], stride, stage.expand_ratio, dilation, **options)
                for channels, stride, dilation in kinds
            ]
            self.add_module(f'layer{i + 1}', nn.Sequential(*blocks))
            self.layers.append(f'layer{i + 1}')
        if self.has_last_conv:
            widths.append(int(1280 * max(widen_factor, 1.0)))
            self.conv2 = ConvModule(widths[-2], widths[-1], 1, **layer_cfgs)
            self.layers.append('conv2')
            stage_strides.append(stage_strides[-1])
        self.out_channels = tuple(widths[1:][i] for i in self.out_indices)
        self.strides = tuple(stage_strides[i] for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """``conv1`` and the first ``frozen_stages`` layers."""
        if self.frozen_stages < 0:
            return []
        return [self.conv1, *[getattr(self, name) for name in self.layers[: self.frozen_stages]]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        x_nchw = self.conv1(x)
        outs = []
        for i, name in enumerate(self.layers):
            x_nchw = getattr(self, name)(x_nchw)
            if i in self.out_indices:
                outs.append(x_nchw)
        return tuple(outs)
