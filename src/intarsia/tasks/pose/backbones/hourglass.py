"""Stacked hourglasses.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.residual import BasicBlock, ResLayer
from intarsia.models.backbones.small_normal import SmallNormalBackbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg
from intarsia.nn.resize import resize

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}


class HourglassModule(nn.Module):
    """Half the resolution, do the same inside, enlarge again, and add what stayed at full resolution.

    State keys: ``up1``, ``low1``, ``low2``, ``low3``.

    Args:
        depth: How often the resolution is halved.
        stage_channels: Channels at each resolution, from the finest, at least ``depth + 1``.
        stage_blocks: Blocks of a layer at each resolution.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self, depth: int, stage_channels: Sequence[int], stage_blocks: Sequence[int], norm_cfg: Mapping[str, Any] = BN
    ) -> None:
        super().__init__()
        (here, below), (num_here, num_below) = stage_channels[:2], stage_blocks[:2]
        self.up1 = ResLayer(BasicBlock, num_here, here, here, norm_cfg=norm_cfg)
        self.low1 = ResLayer(BasicBlock, num_here, here, below, stride=2, norm_cfg=norm_cfg)
        self.low2: nn.Module
        if depth > 1:
            self.low2 = HourglassModule(depth - 1, stage_channels[1:], stage_blocks[1:], norm_cfg)
        else:
            self.low2 = ResLayer(BasicBlock, num_below, below, below, norm_cfg=norm_cfg)
        self.low3 = nn.Sequential(
            *ResLayer(BasicBlock, num_here - 1, below, below, norm_cfg=norm_cfg),
            *ResLayer(BasicBlock, 1, below, here, norm_cfg=norm_cfg),
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        kept_nchw = self.up1(x_nchw)
        return kept_nchw + resize(self.low3(self.low2(self.low1(x_nchw))), kept_nchw.shape[2:])


@BACKBONES.register_module()
class HourglassNet(SmallNormalBackbone):
    """Hourglasses one after the other, each of which gives a map.

    "Stacked Hourglass Networks for Human Pose Estimation" (Newell et al., 2016, arXiv:1603.06937), with the layers of
    "CornerNet: Detecting Objects as Paired Keypoints" (Law & Deng, 2018, arXiv:1808.01244).

    State keys: ``stem``, ``hourglass_modules``, ``inters``, ``conv1x1s``, ``out_convs``, ``remap_convs``.

    Args:
        downsample_times: How often an hourglass halves the resolution.
        num_stacks: Number of hourglasses; 1 is Hourglass-52, 2 is Hourglass-104.
        stage_channels: Channels at each resolution, from the finest.
        stage_blocks: Blocks of a layer at each resolution.
        feat_channel: Channels of the outputs.
        norm_cfg: Config of the normalizations.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There is no hourglass, or there are fewer numbers than resolutions.
    """

    def __init__(
        self,
        downsample_times: int = 5,
        num_stacks: int = 2,
        stage_channels: Sequence[int] = (256, 256, 384, 384, 384, 512),
        stage_blocks: Sequence[int] = (2, 2, 2, 2, 2, 4),
        feat_channel: int = 256,
        norm_cfg: Mapping[str, Any] = BN,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_stacks < 1:
            raise ValueError(f'HourglassNet: num_stacks={num_stacks} must be at least 1')
        if not downsample_times < len(stage_channels) == len(stage_blocks):
            raise ValueError(
                f'HourglassNet: downsample_times={downsample_times} needs as many stage_channels and stage_blocks and '
                f'one more, not {len(stage_channels)} and {len(stage_blocks)}'
            )
        self.num_stacks = num_stacks
        self.out_channels, self.strides = (feat_channel,) * num_stacks, (4,) * num_stacks
        inside = stage_channels[0]
        self.stem = nn.Sequential(
            ConvModule(3, 128, 7, padding=3, stride=2, norm_cfg=norm_cfg),
            ResLayer(BasicBlock, 1, 128, 256, stride=2, norm_cfg=norm_cfg),
        )
        self.hourglass_modules = nn.ModuleList(
            HourglassModule(downsample_times, stage_channels, stage_blocks, norm_cfg) for _ in range(num_stacks)
        )
        self.out_convs = nn.ModuleList(
            ConvModule(inside, feat_channel, 3, padding=1, norm_cfg=norm_cfg) for _ in range(num_stacks)
        )
        links = range(num_stacks - 1)
        options: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': None}
        self.conv1x1s = nn.ModuleList(ConvModule(inside, inside, 1, **options) for _ in links)
        self.remap_convs = nn.ModuleList(ConvModule(feat_channel, inside, 1, **options) for _ in links)
        # Checkpoints of a single hourglass have one of these too, although nothing follows it.
        self.inters = ResLayer(BasicBlock, max(num_stacks - 1, 1), inside, inside, norm_cfg=norm_cfg)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the maps of all hourglasses, ``(N, feat_channel, H / 4, W / 4)``."""
        x_nchw = self.stem(x)
        outs: list[Tensor] = []
        for i, (hourglass, out_conv) in enumerate(zip(self.hourglass_modules, self.out_convs, strict=True)):
            outs.append(out_conv(hourglass(x_nchw)))
            if i < len(self.conv1x1s):
                merged_nchw = self.conv1x1s[i](x_nchw) + self.remap_convs[i](outs[-1])
                x_nchw = self.inters[i](merged_nchw.relu())
        return tuple(outs)
