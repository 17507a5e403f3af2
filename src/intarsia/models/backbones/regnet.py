"""RegNet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import choose_arch, normalize_indices
from intarsia.models.backbones.residual import Bottleneck, ResLayer
from intarsia.models.backbones.resnet import BN, ResNet
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer

KEYS = ('w0', 'wa', 'wm', 'group_w', 'depth', 'bot_mul')
DIVISOR = 8


class Stage(NamedTuple):
    """Numbers of one stage."""

    channels: int
    group_channels: int
    num_groups: int
    num_blocks: int


@BACKBONES.register_module()
class RegNet(ResNet):
    """Residual network whose widths follow from a quantized line.

    "Designing Network Design Spaces" (Radosavovic et al., 2020, arXiv:2003.13678).

    State keys: ``conv1``, ``bn1``, ``layer1`` ... ``layer4``.

    Args:
        arch: Name of an architecture, or a dict with ``w0``, ``wa`` and ``wm`` (first width, slope, factor between
            widths), ``group_w`` (channels of a group), ``depth`` (number of blocks) and ``bot_mul`` (channels inside a
            block divided by its output channels).
        in_channels: Channels of the image.
        stem_channels: Channels of the stem.
        base_channels: Of no account; widths follow from ``arch``.
        strides: Stride of each stage.
        dilations: Dilation of each stage.
        out_indices: Stages to output, from 0.
        style: ``'pytorch'`` puts the stride of a block on its 3 x 3 convolution, ``'caffe'`` on the first.
        deep_stem: There is no such stem; False.
        avg_down: Lower the resolution of a block's input by averaging, not by a strided convolution.
        frozen_stages: Freeze the stem (0) and so many stages; -1 freezes nothing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        zero_init_residual: Start with blocks that pass on their input: the last normalization of each is zero.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or numbers do not fit its stages.
    """

    presets: ClassVar[dict[str, dict[str, float]]] = {
        'regnetx_400mf': {'w0': 24, 'wa': 24.48, 'wm': 2.54, 'group_w': 16, 'depth': 22, 'bot_mul': 1.0},
        'regnetx_800mf': {'w0': 56, 'wa': 35.73, 'wm': 2.28, 'group_w': 16, 'depth': 16, 'bot_mul': 1.0},
        'regnetx_1.6gf': {'w0': 80, 'wa': 34.01, 'wm': 2.25, 'group_w': 24, 'depth': 18, 'bot_mul': 1.0},
        'regnetx_3.2gf': {'w0': 88, 'wa': 26.31, 'wm': 2.25, 'group_w': 48, 'depth': 25, 'bot_mul': 1.0},
        'regnetx_4.0gf': {'w0': 96, 'wa': 38.65, 'wm': 2.43, 'group_w': 40, 'depth': 23, 'bot_mul': 1.0},
        'regnetx_6.4gf': {'w0': 184, 'wa': 60.83, 'wm': 2.07, 'group_w': 56, 'depth': 17, 'bot_mul': 1.0},
        'regnetx_8.0gf': {'w0': 80, 'wa': 49.56, 'wm': 2.88, 'group_w': 120, 'depth': 23, 'bot_mul': 1.0},
        'regnetx_12gf': {'w0': 168, 'wa': 73.36, 'wm': 2.37, 'group_w': 112, 'depth': 19, 'bot_mul': 1.0},
    }
    STATIC_CHANNELS: ClassVar[dict[str, dict[Any, tuple[int, ...]]]] = {
        'arch': {
            'regnetx_400mf': (32, 64, 160, 384), 'regnetx_800mf': (64, 128, 288, 672),
            'regnetx_1.6gf': (72, 168, 408, 912), 'regnetx_3.2gf': (96, 192, 432, 1008),
            'regnetx_4.0gf': (80, 240, 560, 1360), 'regnetx_6.4gf': (168, 392, 784, 1624),
            'regnetx_8.0gf': (80, 240, 720, 1920), 'regnetx_12gf': (224, 448, 896, 2240),
        },
    }  # fmt: skip
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        arch: str | Mapping[str, float],
        in_channels: int = 3,
        stem_channels: int = 32,
        base_channels: int = 32,
        strides: Sequence[int] = (2, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (3,),
        style: Literal['pytorch', 'caffe'] = 'pytorch',
        deep_stem: bool = False,
        avg_down: bool = False,
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super(ResNet, self).__init__(init_cfg)
        stages = stages_of(**choose_arch(self, arch, self.presets, KEYS))
        num_stages = len(stages)
        if deep_stem:
            raise ValueError('RegNet has no deep stem: set deep_stem=False')
        if not len(strides) == len(dilations) == num_stages:
            raise ValueError(f'RegNet: {num_stages} stages, but strides={strides} and dilations={dilations}')
        if not -1 <= frozen_stages <= num_stages:
            raise ValueError(f'RegNet: frozen_stages={frozen_stages} must lie in -1 ... {num_stages}')
        self.depth, self.num_stages, self.deep_stem = sum(s.num_blocks for s in stages), num_stages, False
        self.out_indices = normalize_indices(out_indices, num_stages, 'RegNet')
        self.frozen_stages, self.norm_eval, self.zero_init_residual = frozen_stages, norm_eval, zero_init_residual

        self.conv1 = build_conv_layer(conv_cfg, in_channels, stem_channels, 3, stride=2, padding=1, bias=False)
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, stem_channels, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.relu = nn.ReLU(inplace=True)
        self.add_module('maxpool', nn.Identity())
        self.res_layers = []
        widths = [stem_channels, *[stage.channels for stage in stages]]
        for i, stage in enumerate(stages):
            layer = ResLayer(
                Bottleneck, stage.num_blocks, widths[i], stage.channels, expansion=1, stride=strides[i],
                dilation=dilations[i], avg_down=avg_down, conv_cfg=conv_cfg, norm_cfg=norm_cfg, style=style,
                with_cp=with_cp, groups=stage.num_groups, width_per_group=stage.group_channels,
                base_channels=stage.channels,
            )  # fmt: skip
            self.res_layers.append(f'layer{i + 1}')
            self.add_module(self.res_layers[-1], layer)
        self.feat_dim = widths[-1]
        self.out_channels = tuple(widths[i + 1] for i in self.out_indices)
        self.strides = tuple(2 * math.prod(strides[: i + 1]) for i in self.out_indices)
        self._freeze_stages()


def stages_of(w0: int, wa: float, wm: float, depth: int, group_w: int, bot_mul: float) -> list[Stage]:
    """Stages of a RegNet.

    The width of block j is ``w0 + wa * j``, rounded to ``w0 * wm ** k`` for an integer k and then to a multiple of 8;
    blocks of one width are a stage. Its width is changed so that its channels inside are a multiple of a group.

    Args:
        w0: First width, a multiple of 8.
        wa: Slope of the widths.
        wm: Factor between widths, above 1.
        depth: Number of blocks.
        group_w: Channels of a group.
        bot_mul: Channels inside a block divided by its output channels.

    Raises:
        ValueError: A number lies outside of its range.
    """
    if w0 <= 0 or w0 % DIVISOR or wa < 0 or wm <= 1:
        raise ValueError(f'RegNet: w0={w0} must be a multiple of {DIVISOR}, wa={wa} not negative, wm={wm} above 1')
    steps = [round(math.log((w0 + wa * j) / w0) / math.log(wm)) for j in range(depth)]
    widths = [round(w0 * wm**step / DIVISOR) * DIVISOR for step in steps]
    stages = []
    for width, blocks in itertools.groupby(widths):
        group = min(group_w, int(width * bot_mul))
        inside = round(int(width * bot_mul) / group) * group
        channels = int(inside / bot_mul)
        stages.append(Stage(channels, group, round(channels * bot_mul) // group, len(list(blocks))))
    return stages
