"""Res2Net: ResNet whose 3 x 3 convolutions build on each other.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.residual import Bottleneck, ResidualBlock, ResLayer
from intarsia.models.backbones.resnet import ResNet
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.norm import build_norm_layer


class Bottle2neck(Bottleneck):
    """Bottleneck whose channels inside are split: each part is convolved, then added to the next before that is.

    State keys: ``conv1``, ``convs``, ``bns``, ``conv3``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        scales: Number of parts; the last one is not convolved.
        base_width: Channels of a part in the first stage, for ``base_channels=64``.
        base_channels: Channels inside the bottlenecks of the first stage.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.residual.Bottleneck`.

    Attributes:
        starts_stage: Whether this block is the first of its stage: there no part is added to the next, and the last is
            averaged to the new resolution.

    Raises:
        ValueError: There is but one part.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scales: int = 4,
        base_width: int = 26,
        base_channels: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, base_channels=base_channels, **kwargs)
        if scales < 2:
            raise ValueError(f'Res2Net: scales={scales} must be at least 2; with one it is ResNet')
        self.starts_stage = False
        self.width = int(self.mid_channels * (base_width / base_channels))
        first, second = (1, self.stride) if self.style == 'pytorch' else (self.stride, 1)
        self.add_conv(1, in_channels, self.width * scales, 1, stride=first)
        self.pool = nn.AvgPool2d(3, stride=second, padding=1)
        self.convs, self.bns = nn.ModuleList(), nn.ModuleList()
        for _ in range(scales - 1):
            conv = build_conv_layer(
                self.conv_cfg, self.width, self.width, 3, stride=second, padding=self.dilation, dilation=self.dilation,
                bias=False,
            )  # fmt: skip
            self.convs.append(conv)
            self.bns.append(build_norm_layer(self.norm_cfg, self.width)[1])
        self.add_conv(3, self.width * scales, out_channels, 1)
        del self.conv2
        delattr(self, self.norm2_name)

    def branch(self, x_nchw: Tensor) -> Tensor:
        """A convolution of all channels, those of the parts, and one that mixes them."""
        *parts, last_nchw = self.relu(self.norm1(self.conv1(x_nchw))).split(self.width, dim=1)
        outs: list[Tensor] = []
        for part_nchw, conv, norm in zip(parts, self.convs, self.bns, strict=True):
            if outs and not self.starts_stage:
                part_nchw = part_nchw + outs[-1]
            outs.append(self.relu(norm(conv(part_nchw.contiguous()))))
        outs.append(self.pool(last_nchw) if self.starts_stage else last_nchw)
        return self.norm3(self.conv3(torch.cat(outs, dim=1)))


@BACKBONES.register_module()
class Res2Net(ResNet):
    """ResNet whose blocks see several scales.

    "Res2Net: A New Multi-scale Backbone Architecture" (Gao et al., 2019, arXiv:1904.01169).

    Args:
        depth: 50, 101 or 152.
        scales: Number of parts into which the channels inside a block are split.
        base_width: Channels of a part in the first stage.
        deep_stem: Three 3 x 3 convolutions in the stem, not one of 7 x 7.
        avg_down: Lower the resolution of a block's input by averaging, not by a strided convolution.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.resnet.ResNet`.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        50: (Bottle2neck, (3, 4, 6, 3)),
        101: (Bottle2neck, (3, 4, 23, 3)),
        152: (Bottle2neck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        scales: int = 4,
        base_width: int = 26,
        deep_stem: bool = True,
        avg_down: bool = True,
        **kwargs: Any,
    ) -> None:
        self.scales, self.base_width = scales, base_width
        super().__init__(depth, deep_stem=deep_stem, avg_down=avg_down, **kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Make one stage of blocks with several scales; the average is there even where the resolution stays."""
        layer = ResLayer(
            avg_always=True, scales=self.scales, base_width=self.base_width, base_channels=self.base_channels, **kwargs
        )
        first = layer[0]
        assert isinstance(first, Bottle2neck)
        first.starts_stage = True
        return layer
