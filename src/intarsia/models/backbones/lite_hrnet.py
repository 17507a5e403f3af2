"""Lite-HRNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.hrnet import conv_and_norm
from intarsia.models.backbones.lite_hrnet_block import ConditionalChannelWeighting, IterativeHead, LiteStem
from intarsia.models.backbones.shufflenet_v2 import ShuffleUnit
from intarsia.models.backbones.small_normal import SmallNormalBackbone
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import resize

BN: Mapping[str, Any] = {'type': 'BN'}
PER_STAGE = ('num_modules', 'num_branches', 'num_blocks', 'module_type', 'with_fuse', 'reduce_ratios', 'num_channels')


class LiteHRModule(nn.Module):
    """Blocks over maps of different resolutions, and an exchange between all of them at the end.

    State keys: ``layers``, ``fuse_layers.{to}.{from}``.

    Args:
        num_blocks: Number of blocks.
        in_channels: Channels of each map, from the finest.
        reduce_ratio: By how much channels are squeezed for weights across maps.
        module_type: ``'LITE'`` for blocks over all maps, ``'NAIVE'`` for shuffle units of each map.
        with_fuse: Whether there is an exchange.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        with_cp: Compute activations again in the backward pass, to save memory.

    Raises:
        ValueError: Another ``module_type``.
    """

    def __init__(
        self,
        num_blocks: int,
        in_channels: Sequence[int],
        reduce_ratio: int,
        module_type: str,
        with_fuse: bool = True,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.is_lite = module_type.upper() == 'LITE'
        if not self.is_lite and module_type.upper() != 'NAIVE':
            raise ValueError(f"LiteHRNet: module_type is 'LITE' or 'NAIVE', not {module_type!r}")
        self.in_channels = in_channels
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        options = {**cfgs, 'with_cp': with_cp}
        self.layers: nn.Module
        if self.is_lite:
            blocks = [ConditionalChannelWeighting(in_channels, reduce_ratio, **options) for _ in range(num_blocks)]
            self.layers = nn.Sequential(*blocks)
        else:
            self.layers = nn.ModuleList(
                nn.Sequential(*[ShuffleUnit(channels, channels, **options) for _ in range(num_blocks)])
                for channels in in_channels
            )
        places = range(len(in_channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._between(source, target, cfgs) for source in places)
            for target in (places if with_fuse and len(places) > 1 else ())
        )

    def _between(self, source: int, target: int, cfgs: Mapping[str, Any]) -> nn.Module:
        """What brings one map to the channels of another and, where that is coarser, to its resolution."""
        before, after = self.in_channels[source], self.in_channels[target]
        if source == target:
            return nn.Identity()
        if source > target:
            return nn.Sequential(*conv_and_norm(before, after, 1, **cfgs))
        return lite_downscaling([before] * (target - source) + [after], relu_at_end=False, **cfgs)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps ``(N, C_i, H / 2 ** i, W / 2 ** i)`` in and out."""
        if self.is_lite:
            maps = self.layers(maps)
        else:
            branches: Any = self.layers
            maps = [branch(x_nchw) for branch, x_nchw in zip(branches, maps, strict=True)]
        if not self.fuse_layers:
            return list(maps)
        maps = list(maps)
        # What the finest map gives counts twice, and to the others it gives what it has become: checkpoints were
        # trained so.
        finest_nchw = maps[0] + self._sum(0, maps)
        fused = [self._sum(i, [finest_nchw, *maps[1:]], first_weight=2) for i in range(1, len(maps))]
        return [x_nchw.relu() for x_nchw in (finest_nchw, *fused)]

    def _sum(self, target: int, maps: Sequence[Tensor], first_weight: int = 1) -> Tensor:
        layers: Any = self.fuse_layers[target]
        first, *others = layers
        size = maps[target].shape[2:]
        total_nchw = first_weight * first(maps[0])
        for layer, x_nchw in zip(others, maps[1:], strict=True):
            part_nchw = layer(x_nchw)
            total_nchw = total_nchw + (part_nchw if part_nchw.shape[2:] == size else resize(part_nchw, size))
        return total_nchw


def _depthwise_pointwise(
    in_channels: int, out_channels: int, stride: int, with_relu: bool, **cfgs: Any
) -> nn.Sequential:
    """A convolution of each channel by itself and one that mixes them, each with its normalization, in one row."""
    depthwise = build_conv_layer(
        cfgs['conv_cfg'], in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False
    )
    norm = build_norm_layer(cfgs['norm_cfg'], in_channels)[1]
    pointwise = conv_and_norm(in_channels, out_channels, 1, **cfgs)
    return nn.Sequential(depthwise, norm, *pointwise, *([nn.ReLU()] if with_relu else []))


def lite_downscaling(widths: Sequence[int], relu_at_end: bool, **cfgs: Any) -> nn.Sequential:
    """Strided steps with these channels, each with a rectifier at its end but, perhaps, the last."""
    pairs = list(itertools.pairwise(widths))
    steps = [
        _depthwise_pointwise(before, after, 2, relu_at_end or i < len(pairs) - 1, **cfgs)
        for i, (before, after) in enumerate(pairs)
    ]
    return nn.Sequential(*steps)


@BACKBONES.register_module()
class LiteHRNet(SmallNormalBackbone):
    """HRNet of shuffle blocks whose 1 x 1 convolutions are replaced by weights that all resolutions share.

    "Lite-HRNet: A Lightweight High-Resolution Network" (Yu et al., 2021, arXiv:2104.06403).

    State keys: ``stem``, ``transition0`` ..., ``stage0`` ..., ``head_layer``.

    Args:
        extra: ``stem`` with ``stem_channels``, ``out_channels`` and ``expand_ratio``; ``num_stages``; ``stages_spec``
            with ``num_modules``, ``num_branches``, ``num_blocks``, ``module_type`` (``'LITE'`` or ``'NAIVE'``),
            ``with_fuse``, ``reduce_ratios`` and ``num_channels`` (of each branch) of each stage; ``with_head``, whether
            coarser maps are added to the finest at the end.
        in_channels: Channels of the image.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The numbers of a stage are missing or do not fit together.
    """

    def __init__(
        self,
        extra: Mapping[str, Any],
        in_channels: int = 3,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.norm_eval, self.num_stages = norm_eval, extra['num_stages']
        self._cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        self.stem = LiteStem(in_channels, **extra['stem'], **self._cfgs)
        channels = [self.stem.out_channels]
        for i in range(self.num_stages):
            numbers = _stage_numbers(extra['stages_spec'], i)
            wanted = list(numbers['num_channels'])
            self.add_module(f'transition{i}', self._transition(channels, wanted))
            modules = [
                LiteHRModule(
                    numbers['num_blocks'], wanted, numbers['reduce_ratios'], numbers['module_type'],
                    numbers['with_fuse'], with_cp=with_cp, **self._cfgs,
                )
                for _ in range(numbers['num_modules'])
            ]  # fmt: skip
            self.add_module(f'stage{i}', nn.Sequential(*modules))
            channels = wanted
        self.head_layer = IterativeHead(channels, norm_cfg) if extra['with_head'] else None
        self.out_channels, self.strides = (channels[0],), (4,)

    def _transition(self, before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
        """Bring the maps of one stage to the channels of the next, which has further branches."""
        layers: list[nn.Module] = []
        for i, channels in enumerate(after):
            if i >= len(before):
                steps = i + 1 - len(before)
                layers.append(lite_downscaling([before[-1]] * steps + [channels], relu_at_end=True, **self._cfgs))
            elif channels != before[i]:
                layers.append(_depthwise_pointwise(before[i], channels, 1, with_relu=True, **self._cfgs))
            else:
                layers.append(nn.Identity())
        return nn.ModuleList(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the finest map, ``(N, C, H / 4, W / 4)``."""
        maps = [self.stem(x)]
        for i in range(self.num_stages):
            layers = getattr(self, f'transition{i}')
            inputs = [layer(maps[min(j, len(maps) - 1)]) for j, layer in enumerate(layers)]
            maps = getattr(self, f'stage{i}')(inputs)
        return (maps[0] if self.head_layer is None else self.head_layer(maps),)


def _stage_numbers(spec: Mapping[str, Any], stage: int) -> dict[str, Any]:
    """The numbers of one stage, if they are all there and fit together."""
    missing = [key for key in PER_STAGE if key not in spec or len(spec[key]) <= stage]
    if missing:
        raise ValueError(f'LiteHRNet: stages_spec has no {", ".join(missing)} of stage {stage}')
    numbers = {key: spec[key][stage] for key in PER_STAGE}
    if numbers['num_branches'] != len(numbers['num_channels']):
        raise ValueError(
            f'LiteHRNet: stage {stage} has num_branches={numbers["num_branches"]}, '
            f'but num_channels={numbers["num_channels"]}'
        )
    return numbers
