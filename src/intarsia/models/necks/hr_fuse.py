"""One map of the maps of HRNet, for classifiers.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import NECKS
from intarsia.models.backbones.residual import Bottleneck, ResLayer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg

BN: Mapping[str, Any] = {'type': 'BN', 'momentum': 0.1}
NORMAL: Mapping[str, Any] = {'type': 'Normal', 'layer': 'Linear', 'std': 0.01}
WIDTHS = (128, 256, 512, 1024)


@NECKS.register_module()
class HRFuseScales(BaseModule):
    """Widen every map, then add each to the next coarser one.

    "Deep High-Resolution Representation Learning for Visual Recognition" (Wang et al., 2019, arXiv:1908.07919).

    State keys: ``increase_layers``, ``downsample_layers``, ``final_layer``.

    Args:
        in_channels: Channels of the maps, from the finest on; at most four.
        out_channels: Channels of the result.
        norm_cfg: Config of the normalizations between maps.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 2048,
        norm_cfg: Mapping[str, Any] = BN,
        init_cfg: InitCfg = NORMAL,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = tuple(in_channels), out_channels
        widths = WIDTHS[: len(self.in_channels)]
        options: dict[str, Any] = {'norm_cfg': norm_cfg, 'bias': False}
        self.increase_layers = nn.ModuleList(
            ResLayer(Bottleneck, 1, before, after) for before, after in zip(self.in_channels, widths, strict=True)
        )
        self.downsample_layers = nn.ModuleList(
            ConvModule(before, after, 3, stride=2, padding=1, **options) for before, after in pairwise(widths)
        )
        self.final_layer = ConvModule(widths[-1], out_channels, 1, **options)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor]:
        """Maps ``(N, in_channels[i], H / 2 ** i, W / 2 ** i)`` to one, ``(N, out_channels, H / 8, W / 8)``, in a tuple.

        Raises:
            ValueError: There are not as many maps as ``in_channels``.
        """
        if len(maps) != len(self.in_channels):
            raise ValueError(f'HRFuseScales takes {len(self.in_channels)} maps, not {len(maps)}')
        widened = [layer(x_nchw) for layer, x_nchw in zip(self.increase_layers, maps, strict=True)]
        x_nchw = widened[0]
        for downsample, next_nchw in zip(self.downsample_layers, widened[1:], strict=True):
            x_nchw = downsample(x_nchw) + next_nchw
        return (self.final_layer(x_nchw),)
