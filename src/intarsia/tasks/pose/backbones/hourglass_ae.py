"""The hourglasses of associative embedding.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.small_normal import SmallNormalBackbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg
from intarsia.nn.resize import resize

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}


def _conv3x3(before: int, after: int, norm_cfg: Mapping[str, Any]) -> ConvModule:
    return ConvModule(before, after, 3, padding=1, norm_cfg=norm_cfg)


class HourglassAEModule(nn.Module):
    """Half the resolution by pooling, do the same inside, enlarge again, and add what stayed at full resolution.

    State keys: ``up1``, ``low1``, ``low2``, ``low3``.

    Args:
        depth: How often the resolution is halved.
        stage_channels: Channels at each resolution, from the finest, at least ``depth + 1``.
        norm_cfg: Config of the normalizations.
    """

    def __init__(self, depth: int, stage_channels: Sequence[int], norm_cfg: Mapping[str, Any] = BN) -> None:
        super().__init__()
        here, below = stage_channels[:2]
        self.up1 = _conv3x3(here, here, norm_cfg)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.low1 = _conv3x3(here, below, norm_cfg)
        self.low2: nn.Module
        if depth > 1:
            self.low2 = HourglassAEModule(depth - 1, stage_channels[1:], norm_cfg)
        else:
            self.low2 = _conv3x3(below, below, norm_cfg)
        self.low3 = _conv3x3(below, here, norm_cfg)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        kept_nchw = self.up1(x_nchw)
        inner_nchw = self.low3(self.low2(self.low1(self.pool1(x_nchw))))
        return kept_nchw + resize(inner_nchw, kept_nchw.shape[2:])


@BACKBONES.register_module()
class HourglassAENet(SmallNormalBackbone):
    """Hourglasses one after the other, each of which gives heat maps and tags.

    "Associative Embedding: End-to-End Learning for Joint Detection and Grouping" (Newell et al., 2016,
    arXiv:1611.05424).

    State keys: ``stem``, ``hourglass_modules``, ``out_convs``, ``remap_out_convs``, ``remap_feature_convs``.

    Args:
        downsample_times: How often an hourglass halves the resolution.
        num_stacks: Number of hourglasses.
        out_channels: Channels of the outputs.
        stage_channels: Channels at each resolution, from the finest.
        feat_channels: Channels between hourglasses; equals ``stage_channels[0]``.
        norm_cfg: Config of the normalizations.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There is no hourglass, or the channels do not fit together.
    """

    def __init__(
        self,
        downsample_times: int = 4,
        num_stacks: int = 1,
        out_channels: int = 34,
        stage_channels: Sequence[int] = (256, 384, 512, 640, 768),
        feat_channels: int = 256,
        norm_cfg: Mapping[str, Any] = BN,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_stacks < 1 or downsample_times >= len(stage_channels):
            raise ValueError(
                f'HourglassAENet: num_stacks={num_stacks} must be at least 1, and stage_channels={stage_channels} hold '
                f'more numbers than downsample_times={downsample_times}'
            )
        if feat_channels != stage_channels[0]:
            raise ValueError(f'HourglassAENet: feat_channels={feat_channels} must equal {stage_channels[0]}')
        self.out_channels, self.strides = (out_channels,) * num_stacks, (4,) * num_stacks
        self.stem = nn.Sequential(
            ConvModule(3, 64, 7, padding=3, stride=2, norm_cfg=norm_cfg),
            _conv3x3(64, 128, norm_cfg),
            nn.MaxPool2d(2, 2),
            _conv3x3(128, 128, norm_cfg),
            _conv3x3(128, feat_channels, norm_cfg),
        )
        self.hourglass_modules = nn.ModuleList(
            nn.Sequential(
                HourglassAEModule(downsample_times, stage_channels, norm_cfg),
                _conv3x3(feat_channels, feat_channels, norm_cfg),
                _conv3x3(feat_channels, feat_channels, norm_cfg),
            )
            for _ in range(num_stacks)
        )
        self.out_convs = nn.ModuleList(
            ConvModule(feat_channels, out_channels, 1, act_cfg=None) for _ in range(num_stacks)
        )
        links = range(num_stacks - 1)
        options: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': None}
        self.remap_out_convs = nn.ModuleList(ConvModule(out_channels, feat_channels, 1, **options) for _ in links)
        self.remap_feature_convs = nn.ModuleList(ConvModule(feat_channels, feat_channels, 1, **options) for _ in links)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the outputs of all hourglasses, ``(N, out_channels, H / 4, W / 4)``."""
        x_nchw = self.stem(x)
        outs: list[Tensor] = []
        for i, (hourglass, out_conv) in enumerate(zip(self.hourglass_modules, self.out_convs, strict=True)):
            feat_nchw = hourglass(x_nchw)
            outs.append(out_conv(feat_nchw))
            if i < len(self.remap_out_convs):
                x_nchw = x_nchw + self.remap_out_convs[i](outs[-1]) + self.remap_feature_convs[i](feat_nchw)
        return tuple(outs)
