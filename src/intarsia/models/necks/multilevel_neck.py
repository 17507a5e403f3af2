"""Maps of one resolution to maps of several.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import NECKS
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.init import xavier_init
from intarsia.nn.resize import resize


@NECKS.register_module()
class MultiLevelNeck(nn.Module):
    """Bring the maps of a plain vision transformer to several resolutions, as decoders for pyramids want them.

    Each map goes through a 1 x 1 convolution, is resized, and goes through a 3 x 3 convolution; a single map serves
    for all scales.

    Args:
        in_channels: Channels of each map.
        out_channels: Channels of each output.
        scales: Size of each output divided by that of its map.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.

    Raises:
        ValueError: There are several maps, but not one for each scale.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        scales: Sequence[float] = (0.5, 1, 2, 4),
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if len(in_channels) not in (1, len(scales)):
            raise ValueError(f'MultiLevelNeck: {len(in_channels)} in_channels, but {len(scales)} scales')
        self.in_channels, self.out_channels, self.scales = tuple(in_channels), out_channels, tuple(scales)
        cfgs: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.lateral_convs = nn.ModuleList(ConvModule(channels, out_channels, 1, **cfgs) for channels in in_channels)
        self.convs = nn.ModuleList(ConvModule(out_channels, out_channels, 3, padding=1, **cfgs) for _ in scales)

    def init_weights(self) -> None:
        """Glorot initialization of the convolutions."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                xavier_init(module, distribution='uniform')

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps ``(N, in_channels[i], H, W)`` to ``(N, out_channels, H * scales[i], W * scales[i])``.

        Raises:
            ValueError: There are more or fewer maps than ``in_channels``.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'MultiLevelNeck got {len(inputs)} maps, but in_channels has {len(self.in_channels)}')
        maps = [conv(x_nchw) for conv, x_nchw in zip(self.lateral_convs, inputs, strict=True)]
        if len(maps) == 1:
            maps = maps * len(self.scales)
        return tuple(
            conv(resize(x_nchw, scale_factor=scale, mode='bilinear'))
            for conv, x_nchw, scale in zip(self.convs, maps, self.scales, strict=True)
        )
