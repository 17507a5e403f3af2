"""HRNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch
from intarsia.models.backbones.residual import BasicBlock, Bottleneck, ResidualBlock, ResLayer
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.init import constant_init
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import Upsample, resize

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}
NEAREST: Mapping[str, Any] = {'mode': 'nearest'}
BLOCKS: Mapping[str, type[ResidualBlock]] = {'BASIC': BasicBlock, 'BOTTLENECK': Bottleneck}
STAGES = ('stage1', 'stage2', 'stage3', 'stage4')


def _stage(num_modules: int, block: str, num_channels: Sequence[int]) -> dict[str, Any]:
    num = len(num_channels)
    return {
        'num_modules': num_modules, 'num_branches': num, 'block': block, 'num_blocks': (4,) * num,
        'num_channels': tuple(num_channels),
    }  # fmt: skip


def _arch(width: int) -> dict[str, Any]:
    widths = [width * 2**i for i in range(4)]
    first = _stage(1, 'BOTTLENECK', (64,))
    return {'stage1': first, **{f'stage{i}': _stage(n, 'BASIC', widths[:i]) for i, n in ((2, 1), (3, 4), (4, 3))}}


class HRModule(nn.Module):
    """Branches of different resolutions, and an exchange between all of them at the end.

    Args:
        branches: What is done at each resolution, from the finest.
        channels: Channels of each branch.
        multiscale_output: Whether all branches are output, or the finest alone.
        upsample_cfg: How coarser maps are enlarged: arguments of :class:`~intarsia.nn.resize.Upsample`.
        conv_cfg: Config of the convolutions of the exchange.
        norm_cfg: Config of its normalizations.
    """

    def __init__(
        self,
        branches: Iterable[nn.Module],
        channels: Sequence[int],
        multiscale_output: bool = True,
        upsample_cfg: Mapping[str, Any] = NEAREST,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
    ) -> None:
        super().__init__()
        self.out_channels, self.upsample_cfg = tuple(channels), upsample_cfg
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        self.branches = nn.ModuleList(branches)
        num_outs = len(self.out_channels) if multiscale_output else 1
        fuse_layers = [
            nn.ModuleList(self._between(j, i, cfgs) for j in range(len(self.out_channels))) for i in range(num_outs)
        ]
        self.fuse_layers = nn.ModuleList(fuse_layers if len(self.out_channels) > 1 else [])
        self.relu = nn.ReLU(inplace=False)

    def _between(self, source: int, target: int, cfgs: Mapping[str, Any]) -> nn.Module:
        """What brings the map of one branch to the shape of another."""
        before, after = self.out_channels[source], self.out_channels[target]
        if source == target:
            return nn.Identity()
        if source > target:
            conv, norm = conv_and_norm(before, after, 1, **cfgs)
            return nn.Sequential(conv, norm, Upsample(scale_factor=2 ** (source - target), **self.upsample_cfg))
        return downscaling([before] * (target - source) + [after], relu_at_end=False, **cfgs)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the branches, ``(N, C_i, H / 2 ** i, W / 2 ** i)``, in and out."""
        maps = [branch(x_nchw) for branch, x_nchw in zip(self.branches, maps, strict=True)]
        if len(maps) == 1:
            return maps
        return [self.relu(self._fused(i, maps)) for i in range(len(self.fuse_layers))]

    def _fused(self, target: int, maps: Sequence[Tensor]) -> Tensor:
        layers: Any = self.fuse_layers[target]
        size = maps[target].shape[2:]
        parts = [layer(x_nchw) for layer, x_nchw in zip(layers, maps, strict=True)]
        for j, part_nchw in enumerate(parts):
            if part_nchw.shape[2:] != size:  # images whose sides are no multiples of the coarsest stride
                parts[j] = resize(part_nchw, size, mode='bilinear', align_corners=False)
        return functools.reduce(torch.add, parts)


def conv_and_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    conv_cfg: Mapping[str, Any] | None = None,
    norm_cfg: Mapping[str, Any] = BN,
) -> tuple[nn.Module, nn.Module]:
    """A convolution that keeps places, and its normalization."""
    conv = build_conv_layer(
        conv_cfg, in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
    )
    return conv, build_norm_layer(norm_cfg, out_channels)[1]


def downscaling(widths: Sequence[int], relu_at_end: bool, **cfgs: Any) -> nn.Sequential:
    """Strided convolutions with these channels, each with its normalization and, but perhaps the last, a rectifier."""
    steps = [
        nn.Sequential(*conv_and_norm(before, after, 3, stride=2, **cfgs), nn.ReLU(inplace=False))
        for before, after in itertools.pairwise(widths)
    ]
    return nn.Sequential(*(steps if relu_at_end else [*steps[:-1], steps[-1][:2]]))


@BACKBONES.register_module()
class HRNet(Backbone):
    """Network that keeps a map of high resolution from beginning to end, and coarser ones beside it.

    "Deep High-Resolution Representation Learning for Visual Recognition" (Wang et al., 2019, arXiv:1908.07919).

    State keys: ``conv1``, ``bn1``, ``conv2``, ``bn2``, ``layer1``, ``transition1`` ... ``transition3``,
    ``stage2`` ... ``stage4``.

    Args:
        arch: Name of an architecture, of no account if ``extra`` is given.
        extra: Numbers of ``stage1`` ... ``stage4``: ``num_modules``, ``num_branches``, ``block`` (``'BASIC'`` or
            ``'BOTTLENECK'``), and for each branch ``num_blocks`` and ``num_channels`` (inside the blocks).
        in_channels: Channels of the image.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        zero_init_residual: Start with blocks that pass on their input: the last normalization of each is zero.
        frozen_stages: Freeze the stem (0) and so many stages with the transitions behind them; -1 freezes nothing.
        multiscale_output: Output the maps of all branches, or the finest alone.
        upsample_cfg: How coarser maps are enlarged: arguments of :class:`~intarsia.nn.resize.Upsample`.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown, or its numbers do not fit together.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Any]]] = {
        f'w{width}': _arch(width) for width in (18, 30, 32, 40, 44, 48, 64)
    }
    block_types: ClassVar[Mapping[str, Any]] = BLOCKS
    """Classes of blocks by the word for them in ``extra``; each has a ``default_expansion``."""
    module_type: ClassVar[type[HRModule]] = HRModule
    conv1: nn.Module
    conv2: nn.Module
    norm1_name: str
    norm2_name: str
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        arch: str = 'w32',
        extra: Mapping[str, Any] | None = None,
        in_channels: int = 3,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = False,
        frozen_stages: int = -1,
        multiscale_output: bool = True,
        upsample_cfg: Mapping[str, Any] = NEAREST,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.extra = self._checked(choose_arch(self, extra or arch, self.arch_zoo, STAGES))
        if not -1 <= frozen_stages <= len(STAGES):
            raise ValueError(f'HRNet: frozen_stages={frozen_stages} must lie in -1 ... {len(STAGES)}')
        self.norm_eval, self.zero_init_residual, self.frozen_stages = norm_eval, zero_init_residual, frozen_stages
        self._cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}

        for number, before in ((1, in_channels), (2, 64)):
            conv = build_conv_layer(conv_cfg, before, 64, 3, stride=2, padding=1, bias=False)
            self.add_module(f'conv{number}', conv)
            name, norm = build_norm_layer(norm_cfg, 64, postfix=number)
            self.add_module(name, norm)
            setattr(self, f'norm{number}_name', name)
        self.relu = nn.ReLU(inplace=True)

        first = self.extra['stage1']
        block, channels = self.block_types[first['block']], self._out_channels(first)
        self.layer1 = ResLayer(block, first['num_blocks'][0], 64, channels[0], with_cp=with_cp, **self._cfgs)
        for i, name in enumerate(STAGES[1:], start=1):
            wanted = self._out_channels(self.extra[name])
            self.add_module(f'transition{i}', self._transition(channels, wanted))
            is_last = name == STAGES[-1]
            self.add_module(name, self._stage(name, multiscale_output or not is_last, with_cp, upsample_cfg))
            channels = wanted
        self.out_channels = tuple(channels if multiscale_output else channels[:1])
        self.strides = tuple(4 * 2**i for i in range(len(self.out_channels)))
        self._freeze_stages()

    def _transition(self, before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
        """Bring the maps of one stage to the channels of the next, which has further branches."""
        layers: list[nn.Module] = []
        for i, channels in enumerate(after):
            if i >= len(before):
                steps = i + 1 - len(before)
                layers.append(downscaling([before[-1]] * steps + [channels], relu_at_end=True, **self._cfgs))
            elif channels != before[i]:
                layers.append(
                    nn.Sequential(*conv_and_norm(before[i], channels, 3, **self._cfgs), nn.ReLU(inplace=True))
                )
            else:
                layers.append(nn.Identity())
        return nn.ModuleList(layers)

    def _stage(
        self, name: str, multiscale_output: bool, with_cp: bool, upsample_cfg: Mapping[str, Any]
    ) -> nn.Sequential:
        channels, num = self._out_channels(self.extra[name]), self.extra[name]['num_modules']
        modules = [
            self.module_type(
                self.make_branches(name, i, with_cp), channels, multiscale_output or i < num - 1, upsample_cfg,
                **self._cfgs,
            )
            for i in range(num)
        ]  # fmt: skip
        return nn.Sequential(*modules)

    def make_branches(self, stage: str, module: int, with_cp: bool) -> list[nn.Module]:
        """Make the branches of one module.

        Args:
            stage: ``'stage2'`` ... ``'stage4'``.
            module: Which module of the stage, from 0.
            with_cp: Compute activations again in the backward pass, to save memory.
        """
        numbers = self.extra[stage]
        block = self.block_types[numbers['block']]
        branches = zip(numbers['num_blocks'], self._out_channels(numbers), strict=True)
        return [ResLayer(block, num, width, width, with_cp=with_cp, **self._cfgs) for num, width in branches]

    def _out_channels(self, numbers: Mapping[str, Any]) -> list[int]:
        """Channels after the blocks of each branch of a stage."""
        expansion = self.block_types[numbers['block']].default_expansion
        return [channels * expansion for channels in numbers['num_channels']]

    def _checked(self, extra: Mapping[str, Any]) -> Mapping[str, Any]:
        """The numbers of all stages, if they fit together."""
        owner = type(self).__name__
        for name in STAGES:
            numbers = extra[name]
            num = numbers['num_branches']
            if numbers['block'] not in self.block_types:
                known = ', '.join(self.block_types)
                raise ValueError(f'{owner}: the block of {name} is one of {known}, not {numbers["block"]!r}')
            for key in ('num_blocks', 'num_channels'):
                if len(numbers[key]) != num:
                    raise ValueError(f'{owner}: {name} has num_branches={num}, but {key}={numbers[key]}')
        return extra

    @property
    def norm1(self) -> nn.Module:
        """Normalization of the first convolution."""
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> nn.Module:
        """Normalization of the second convolution."""
        return getattr(self, self.norm2_name)

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The stem, and the first ``frozen_stages`` stages with the transitions behind them."""
        if self.frozen_stages < 0:
            return []
        names = [('layer1', 'transition1'), ('stage2', 'transition2'), ('stage3', 'transition3'), ('stage4',)]
        parts = [getattr(self, name) for stage in names[: self.frozen_stages] for name in stage]
        return [self.conv1, self.norm1, self.conv2, self.norm2, *parts]

    def init_own_weights(self) -> None:
        """Zero the last normalization of every block, if ``zero_init_residual``."""
        if self.zero_init_residual:
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    constant_init(module.last_norm, 0)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the branches, ``(N, C_i, H / 4 / 2 ** i, W / 4 / 2 ** i)``."""
        x_nchw = self.relu(self.norm1(self.conv1(x)))
        x_nchw = self.relu(self.norm2(self.conv2(x_nchw)))
        maps = [self.layer1(x_nchw)]
        for i, name in enumerate(STAGES[1:], start=1):
            layers = getattr(self, f'transition{i}')
            inputs = [layer(maps[min(j, len(maps) - 1)]) for j, layer in enumerate(layers)]
            maps = getattr(self, name)(inputs)
        return tuple(maps)
