"""The cascade of ICNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from intarsia.core.registries import NECKS
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.resize import resize

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}


class CascadeFeatureFusion(BaseModule):
    """Add a coarse map, enlarged and convolved, to a finer one.

    Args:
        low_channels: Channels of the coarse map.
        high_channels: Channels of the finer map.
        out_channels: Channels of the result.
        align_corners: How bilinear resizing places the pixels.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(
        self, low_channels: int, high_channels: int, out_channels: int, align_corners: bool = False, **kwargs: Any
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.conv_low = ConvModule(low_channels, out_channels, 3, padding=2, dilation=2, **kwargs)
        self.conv_high = ConvModule(high_channels, out_channels, 1, **kwargs)

    def forward(self, low_nchw: Tensor, high_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """The sum, and the coarse part of it alone, both ``(N, out_channels, H, W)`` at the size of the finer map."""
        size = high_nchw.shape[2:]
        low_nchw = self.conv_low(resize(low_nchw, size=size, mode='bilinear', align_corners=self.align_corners))
        return F.relu(low_nchw + self.conv_high(high_nchw)), low_nchw


@NECKS.register_module()
class ICNeck(BaseModule):
    """Join three resolutions from coarse to fine.

    "ICNet for Real-Time Semantic Segmentation on High-Resolution Images" (Zhao et al., 2017, arXiv:1704.08545).

    State keys: ``cff_24``, ``cff_12``.

    Args:
        in_channels: Channels of the maps, the finest first.
        out_channels: Channels of each output.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        align_corners: How bilinear resizing places the pixels.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There are not three ``in_channels``.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 256, 256),
        out_channels: int = 128,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        align_corners: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(in_channels) != 3:
            raise ValueError(f'ICNeck takes three in_channels, not {in_channels}')
        fine, middle, coarse = in_channels
        self.in_channels, self.out_channels = tuple(in_channels), out_channels
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.cff_24 = CascadeFeatureFusion(coarse, middle, out_channels, align_corners, **cfgs)
        self.cff_12 = CascadeFeatureFusion(out_channels, fine, out_channels, align_corners, **cfgs)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Three maps, the finest first, to the coarse part of each of the two sums, and the finer sum.

        Raises:
            ValueError: There are not three maps.
        """
        if len(inputs) != 3:
            raise ValueError(f'ICNeck takes three maps, not {len(inputs)}')
        fine_nchw, middle_nchw, coarse_nchw = inputs
        sum24_nchw, low24_nchw = self.cff_24(coarse_nchw, middle_nchw)
        sum12_nchw, low12_nchw = self.cff_12(sum24_nchw, fine_nchw)
        return low24_nchw, low12_nchw, sum12_nchw
