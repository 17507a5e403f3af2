"""Cross-stage partial networks: Darknet, ResNet and ResNeXt, half of whose channels go around the blocks.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.models.backbones.residual import Bottleneck
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.module import BaseModule, InitCfg, Sequential

BN: Mapping[str, Any] = {'type': 'BN', 'eps': 1e-5}
LEAKY: Mapping[str, Any] = {'type': 'LeakyReLU', 'inplace': True}
KAIMING: Mapping[str, Any] = {'type': 'Kaiming', 'layer': 'Conv2d'}


class DarknetBottleneck(BaseModule):
    """A 1 x 1 and a 3 x 3 convolution, added to the input.

    "YOLOv3: An Incremental Improvement" (Redmon & Farhadi, 2018, arXiv:1804.02767).

    Args:
        in_channels: Channels C in and out.
        out_channels: C again.
        expansion: C divided by the channels in between.
        drop_path_rate: Probability that a sample goes without the branch.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of both convolutions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, expansion: float = 2, drop_path_rate: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__()
        hidden = int(out_channels / expansion)
        self.conv1 = ConvModule(in_channels, hidden, 1, **kwargs)
        self.conv2 = ConvModule(hidden, out_channels, 3, padding=1, **kwargs)
        self.drop_path = path_or_identity(drop_path_rate)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return x_nchw + self.drop_path(self.conv2(self.conv1(x_nchw)))


class StageSpec(NamedTuple):
    """Numbers of one stage."""

    in_channels: int
    out_channels: int
    num_blocks: int
    expand_ratio: float
    """Channels before the split divided by those of the downsampled map."""
    bottle_ratio: float
    """Channels of blocks divided by those inside them."""
    has_downsampler: bool = True
    down_growth: bool = False
    """Whether the downsampling widens to ``out_channels``."""


class BlockSpec(NamedTuple):
    """What the blocks of a network are."""

    block: Callable[..., nn.Module]
    options: Mapping[str, Any]
    down_groups: int
    """Groups of the downsampling convolutions."""
    activates_before_split: bool


DARKNET = BlockSpec(DarknetBottleneck, {}, 1, activates_before_split=True)
RESNET = BlockSpec(Bottleneck, {}, 1, activates_before_split=False)
RESNEXT = BlockSpec(
    Bottleneck, {'groups': 32, 'width_per_group': 4, 'base_channels': 32}, 32, activates_before_split=False
)


class CSPStage(BaseModule):
    """Downsampling, then blocks over one half of the channels, the other half beside them, and a mixture of both.

    State keys: ``downsample_conv``, ``expand_conv``, ``blocks``, ``atfer_blocks_conv`` (as it has been called from the
    first checkpoint on), ``final_conv``.

    Args:
        spec: Numbers of the stage.
        blocks: What its blocks are.
        drop_path_rates: Drop probability of each block.
        conv_cfg: Config of the convolutions in the blocks.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.

    Raises:
        ValueError: The channels before the split are odd.
    """

    def __init__(
        self,
        spec: StageSpec,
        blocks: BlockSpec,
        drop_path_rates: Sequence[float],
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = LEAKY,
    ) -> None:
        super().__init__()
        cfgs: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        width = spec.out_channels if spec.down_growth else spec.in_channels
        self.downsample_conv: nn.Module = nn.Identity()
        if spec.has_downsampler:
            self.downsample_conv = ConvModule(
                spec.in_channels, width, 3, stride=2, padding=1, groups=blocks.down_groups, **cfgs
            )
        split = int(width * spec.expand_ratio)
        if split % 2:
            raise ValueError(f'{split} channels cannot be split into halves')
        act = act_cfg if blocks.activates_before_split else None
        self.expand_conv = ConvModule(width, split, 1, norm_cfg=norm_cfg, act_cfg=act)
        half = split // 2
        self.blocks = Sequential(
            *[
                blocks.block(
                    in_channels=half, out_channels=half, expansion=spec.bottle_ratio, drop_path_rate=rate,
                    conv_cfg=conv_cfg, **cfgs, **blocks.options,
                )
                for rate in drop_path_rates
            ]
        )  # fmt: skip
        self.atfer_blocks_conv = ConvModule(half, half, 1, **cfgs)
        self.final_conv = ConvModule(split, spec.out_channels, 1, **cfgs)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H', W')``, half as large with a downsampler."""
        around_nchw, through_nchw = self.expand_conv(self.downsample_conv(x_nchw)).chunk(2, dim=1)
        # A block may overwrite its input, which is a part of the whole.
        through_nchw = self.atfer_blocks_conv(self.blocks(through_nchw.contiguous()))
        return self.final_conv(torch.cat((around_nchw, through_nchw), dim=1))


class CSPNet(Backbone):
    """A stem and cross-stage partial stages; the base of the networks below.

    "CSPNet: A New Backbone that can Enhance Learning Capability of CNN" (Wang et al., 2019, arXiv:1911.11929).

    State keys: ``stem``, ``stages``.

    Args:
        depth: One of the depths in ``arch_settings``.
        in_channels: Channels of the image.
        out_indices: Stages to output, from 0; negative ones count from the end.
        frozen_stages: Freeze the stem and the stages up to this number; -1 freezes nothing.
        drop_path_rate: Drop probability of the last block; it grows linearly from 0.
        conv_cfg: Config of the convolutions in the blocks.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The depth is unknown, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[int, tuple[StageSpec, ...]]]
    blocks: ClassVar[BlockSpec]
    default_init: ClassVar[InitCfg] = KAIMING

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = -1,
        frozen_stages: int = -1,
        drop_path_rate: float = 0.0,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = LEAKY,
        norm_eval: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        name = type(self).__name__
        if depth not in self.arch_settings:
            raise ValueError(f'{name}: depth must be one of {", ".join(map(str, self.arch_settings))}, not {depth}')
        specs = self.arch_settings[depth]
        if not -1 <= frozen_stages < len(specs):
            raise ValueError(f'{name}: frozen_stages={frozen_stages} must lie in -1 ... {len(specs) - 1}')
        self.out_indices = normalize_indices(out_indices, len(specs), name)
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}

        self.stem, stride = self.make_stem(in_channels, specs[0].in_channels, **cfgs)
        rates = iter(decay_rule(drop_path_rate, sum(spec.num_blocks for spec in specs)))
        self.stages = Sequential(
            *[
                CSPStage(spec, self.blocks, list(itertools.islice(rates, spec.num_blocks)), **cfgs)
                for spec in specs
            ]
        )  # fmt: skip
        strides = [stride * 2 ** sum(spec.has_downsampler for spec in specs[: i + 1]) for i in range(len(specs))]
        self.out_channels = tuple(specs[i].out_channels for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)
        self._freeze_stages()

    def make_stem(self, in_channels: int, stem_channels: int, **cfgs: Any) -> tuple[nn.Module, int]:
        """Make what comes before the stages, and say by how much it lowers the resolution."""
        raise NotImplementedError(f'{type(self).__name__} has no stem')

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The stem and the stages up to number ``frozen_stages``."""
        return [] if self.frozen_stages < 0 else [self.stem, *list(self.stages)[: self.frozen_stages + 1]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        x_nchw = self.stem(x)
        outs = []
        for i, stage in enumerate(self.stages):
            x_nchw = stage(x_nchw)
            if i in self.out_indices:
                outs.append(x_nchw)
        return tuple(outs)


@BACKBONES.register_module()
class CSPDarkNet(CSPNet):
    """Cross-stage partial Darknet-53, the backbone of YOLOv4.

    Args:
        depth: 53.
        out_indices: Stages to output, from 0.
        **kwargs: Arguments of :class:`CSPNet`.
    """

    arch_settings: ClassVar[dict[int, tuple[StageSpec, ...]]] = {
        53: (
            StageSpec(32, 64, 1, 2, 2, down_growth=True), StageSpec(64, 128, 2, 1, 1, down_growth=True),
            StageSpec(128, 256, 8, 1, 1, down_growth=True), StageSpec(256, 512, 8, 1, 1, down_growth=True),
            StageSpec(512, 1024, 4, 1, 1, down_growth=True),
        ),
    }  # fmt: skip
    STATIC_CHANNELS: ClassVar[dict[str, dict[int, tuple[int, ...]]]] = {'depth': {53: (64, 128, 256, 512, 1024)}}
    blocks: ClassVar[BlockSpec] = DARKNET
    default_init: ClassVar[InitCfg] = {
        'type': 'Kaiming', 'layer': 'Conv2d', 'a': math.sqrt(5), 'distribution': 'uniform', 'mode': 'fan_in',
        'nonlinearity': 'leaky_relu',
    }  # fmt: skip

    def __init__(self, depth: int, out_indices: int | Sequence[int] = (4,), **kwargs: Any) -> None:
        super().__init__(depth, out_indices=out_indices, **kwargs)

    def make_stem(self, in_channels: int, stem_channels: int, **cfgs: Any) -> tuple[nn.Module, int]:
        """Make one 3 x 3 convolution, which keeps the resolution."""
        return ConvModule(in_channels, stem_channels, 3, padding=1, **{**cfgs, 'conv_cfg': None}), 1


@BACKBONES.register_module()
class CSPResNet(CSPNet):
    """Cross-stage partial ResNet-50.

    Args:
        depth: 50.
        out_indices: Stages to output, from 0.
        deep_stem: Three 3 x 3 convolutions in the stem, not one of 7 x 7 and a pooling.
        **kwargs: Arguments of :class:`CSPNet`.
    """

    arch_settings: ClassVar[dict[int, tuple[StageSpec, ...]]] = {
        50: (
            StageSpec(64, 128, 3, 4, 2, has_downsampler=False), StageSpec(128, 256, 3, 4, 2),
            StageSpec(256, 512, 5, 4, 2), StageSpec(512, 1024, 2, 4, 2),
        ),
    }  # fmt: skip
    STATIC_CHANNELS: ClassVar[dict[str, dict[int, tuple[int, ...]]]] = {'depth': {50: (128, 256, 512, 1024)}}
    blocks: ClassVar[BlockSpec] = RESNET

    def __init__(
        self, depth: int, out_indices: int | Sequence[int] = (3,), deep_stem: bool = False, **kwargs: Any
    ) -> None:
        self.deep_stem = deep_stem
        super().__init__(depth, out_indices=out_indices, **kwargs)

    def make_stem(self, in_channels: int, stem_channels: int, **cfgs: Any) -> tuple[nn.Module, int]:
        """Make a convolution and a pooling, or three convolutions."""
        if self.deep_stem:
            half = stem_channels // 2
            widths = [(in_channels, half, 2), (half, half, 1), (half, stem_channels, 1)]
            convs = [ConvModule(before, after, 3, stride, padding=1, **cfgs) for before, after, stride in widths]
            return nn.Sequential(*convs), 2
        conv = ConvModule(in_channels, stem_channels, 7, stride=2, padding=3, **cfgs)
        return nn.Sequential(conv, nn.MaxPool2d(3, stride=2, padding=1)), 4


@BACKBONES.register_module()
class CSPResNeXt(CSPResNet):
    """Cross-stage partial ResNeXt-50. Arguments of :class:`CSPResNet`."""

    arch_settings: ClassVar[dict[int, tuple[StageSpec, ...]]] = {
        50: (
            StageSpec(64, 256, 3, 4, 4, has_downsampler=False), StageSpec(256, 512, 3, 2, 4),
            StageSpec(512, 1024, 5, 2, 4), StageSpec(1024, 2048, 2, 2, 4),
        ),
    }  # fmt: skip
    STATIC_CHANNELS: ClassVar[dict[str, dict[int, tuple[int, ...]]]] = {'depth': {50: (256, 512, 1024, 2048)}}
    blocks: ClassVar[BlockSpec] = RESNEXT
