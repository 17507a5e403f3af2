"""Several U-shaped networks one after the other: the frame of MSPN and RSN.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg

BN: Mapping[str, Any] = {'type': 'BN'}


class DownsampleModule(nn.Module):
    """The way down: layers of which each but the first halves the resolution.

    State keys: ``layer1`` ...

    Args:
        layers: The layers.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        for i, layer in enumerate(layers, start=1):
            self.add_module(f'layer{i}', layer)

    def forward(self, x_nchw: Tensor, skips: Sequence[Tensor] | None) -> list[Tensor]:
        """Maps after each layer, from the coarsest; what the stage before passes on is added to each.

        Args:
            x_nchw: ``(N, C, H, W)``.
            skips: One map for each layer, from the finest; None in the first stage.
        """
        maps: list[Tensor] = []
        for i, layer in enumerate(self.children()):
            x_nchw = layer(x_nchw)
            if skips is not None:
                x_nchw = x_nchw + skips[i]
            maps.append(x_nchw)
        return maps[::-1]


class UpsampleUnit(nn.Module):
    """A step up: the map of the way down, plus the one just made, enlarged.

    State keys: ``in_skip``, ``up_conv`` (but in the first), ``out_skip1`` and ``out_skip2`` (if there is a next stage).

    Args:
        in_channels: Channels of the map of the way down.
        unit_channels: Channels on the way up.
        is_first: Whether nothing was made before.
        passes_on: Whether a next stage gets something.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self, in_channels: int, unit_channels: int, is_first: bool, passes_on: bool, norm_cfg: Mapping[str, Any]
    ) -> None:
        super().__init__()
        linear: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': None}
        self.in_skip = ConvModule(in_channels, unit_channels, 1, **linear)
        self.up_conv = None if is_first else ConvModule(unit_channels, unit_channels, 1, **linear)
        self.out_skip1 = ConvModule(in_channels, in_channels, 1, norm_cfg=norm_cfg) if passes_on else None
        self.out_skip2 = ConvModule(unit_channels, in_channels, 1, norm_cfg=norm_cfg) if passes_on else None

    def forward(self, x_nchw: Tensor, coarser_nchw: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """``(N, in_channels, H, W)`` to ``(N, unit_channels, H, W)``, and what the next stage gets here."""
        out_nchw = self.in_skip(x_nchw)
        if self.up_conv is not None and coarser_nchw is not None:
            enlarged_nchw = F.interpolate(coarser_nchw, x_nchw.shape[2:], mode='bilinear', align_corners=True)
            out_nchw = out_nchw + self.up_conv(enlarged_nchw)
        out_nchw = out_nchw.relu()
        if self.out_skip1 is None or self.out_skip2 is None:
            return out_nchw, None
        return out_nchw, self.out_skip1(x_nchw) + self.out_skip2(out_nchw)


class UpsampleModule(nn.Module):
    """The way up.

    State keys: ``up1`` ..., of which the last has ``cross_conv`` if there is a next stage.

    Args:
        in_channels: Channels of the maps of the way down, from the coarsest.
        unit_channels: Channels on the way up.
        next_channels: Channels that the next stage begins with; None if there is none.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self, in_channels: Sequence[int], unit_channels: int, next_channels: int | None, norm_cfg: Mapping[str, Any]
    ) -> None:
        super().__init__()
        passes_on = next_channels is not None
        units = [UpsampleUnit(c, unit_channels, i == 0, passes_on, norm_cfg) for i, c in enumerate(in_channels)]
        for i, unit in enumerate(units, start=1):
            self.add_module(f'up{i}', unit)
        self.passes_on = passes_on
        if next_channels is not None:
            units[-1].add_module('cross_conv', ConvModule(unit_channels, next_channels, 1, norm_cfg=norm_cfg))

    def forward(self, maps: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], list[Tensor], Tensor | None]:
        """Maps of the way down, from the coarsest, to those of the way up, and what a next stage gets.

        Returns:
            The maps ``(N, unit_channels, H_i, W_i)``, from the coarsest; what is added on the next way down, from the
            finest; and what that starts with.
        """
        outs: list[Tensor] = []
        skips: list[Tensor] = []
        unit: Any = None
        for unit, x_nchw in zip(self.children(), maps, strict=True):
            out_nchw, skip_nchw = unit(x_nchw, outs[-1] if outs else None)
            outs.append(out_nchw)
            if skip_nchw is not None:
                skips.insert(0, skip_nchw)
        return tuple(outs), skips, unit.cross_conv(outs[-1]) if self.passes_on else None


class Stage(nn.Module):
    """A way down and a way up."""

    def __init__(self, downsample: DownsampleModule, upsample: UpsampleModule) -> None:
        super().__init__()
        self.downsample, self.upsample = downsample, upsample

    def forward(
        self, x_nchw: Tensor, skips: Sequence[Tensor] | None
    ) -> tuple[tuple[Tensor, ...], list[Tensor], Tensor | None]:
        """As :class:`UpsampleModule` gives it."""
        return self.upsample(self.downsample(x_nchw, skips))


class MultiStageNetwork(Backbone):
    """The frame: a stem, then stages. A subclass says what a layer on the way down is.

    ``out_channels`` and ``strides`` are those of the finest map of each stage.

    Args:
        unit_channels: Channels of all outputs.
        num_stages: Number of stages.
        num_units: Number of resolutions.
        num_blocks: Blocks at each resolution, from the finest.
        norm_cfg: Config of the normalizations.
        res_top_channels: Channels of the stem.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There is no stage, or there are not as many ``num_blocks`` as ``num_units``.
    """

    stages_name: ClassVar[str]
    """What checkpoints call the list of stages."""
    expansion: ClassVar[int]
    """Channels after the first layer divided by those of the stem."""
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        unit_channels: int = 256,
        num_stages: int = 4,
        num_units: int = 4,
        num_blocks: Sequence[int] = (2, 2, 2, 2),
        norm_cfg: Mapping[str, Any] = BN,
        res_top_channels: int = 64,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        name = type(self).__name__
        if num_stages < 1 or num_units < 2:
            raise ValueError(f'{name}: num_stages={num_stages} must be at least 1, num_units={num_units} 2')
        if len(num_blocks) != num_units:
            raise ValueError(f'{name}: num_units={num_units}, but num_blocks={num_blocks!r}')
        self.norm_cfg, self.num_blocks, self.res_top_channels = norm_cfg, tuple(num_blocks), res_top_channels
        stem = nn.Sequential(
            ConvModule(3, res_top_channels, 7, stride=2, padding=3, norm_cfg=norm_cfg),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        self.top = nn.Sequential(OrderedDict(top=stem))
        stages = [self._stage(unit_channels, is_last=i == num_stages - 1) for i in range(num_stages)]
        self.add_module(self.stages_name, nn.ModuleList(stages))
        self.out_channels, self.strides = (unit_channels,) * num_stages, (4,) * num_stages

    def _stage(self, unit_channels: int, is_last: bool) -> Stage:
        widths = [self.expansion * self.res_top_channels * 2**i for i in range(len(self.num_blocks))]
        before = [self.res_top_channels, *widths[:-1]]
        layers = [
            self.make_layer(before[i], widths[i], num, stride=2 if i else 1) for i, num in enumerate(self.num_blocks)
        ]
        next_channels = None if is_last else self.res_top_channels
        upsample = UpsampleModule(widths[::-1], unit_channels, next_channels, self.norm_cfg)
        return Stage(DownsampleModule(layers), upsample)

    def make_layer(self, in_channels: int, out_channels: int, num_blocks: int, stride: int) -> nn.Module:
        """Make a layer of the way down."""
        raise NotImplementedError(f'{type(self).__name__} has no layers')

    def shortcut(self, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
        """What brings the input of a block to the shape of its output; None where they are equal."""
        if stride == 1 and in_channels == out_channels:
            return None
        return ConvModule(in_channels, out_channels, 1, stride=stride, norm_cfg=self.norm_cfg, act_cfg=None)

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        """``(N, 3, H, W)`` to the maps of each stage, from the coarsest, ``(N, unit_channels, H_i, W_i)``."""
        x_nchw, skips, outs = self.top(x), None, []
        for stage in getattr(self, self.stages_name):
            maps, skips, x_nchw = stage(x_nchw, skips)
            outs.append(maps)
        return tuple(outs)
