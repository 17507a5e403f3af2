"""Attention over channels.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from intarsia.nn.channels import make_divisible
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg

RELU_SIGMOID: Sequence[Mapping[str, Any]] = ({'type': 'ReLU'}, {'type': 'Sigmoid'})


class SELayer(BaseModule):
    """Scale every channel by a factor that depends on the means of all channels.

    "Squeeze-and-Excitation Networks" (Hu et al., 2017, arXiv:1709.01507).

    Args:
        channels: Channels C of the map.
        squeeze_channels: Channels in between; if not given, ``channels // ratio`` rounded to ``divisor``.
        ratio: By how much the channels are squeezed.
        divisor: What the squeezed channels are a multiple of.
        bias: Whether the two convolutions have a bias; ``'auto'`` means yes.
        conv_cfg: Config of the convolutions.
        act_cfg: Config of both activations, or a pair of them.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        channels: int,
        squeeze_channels: int | None = None,
        ratio: int = 16,
        divisor: int = 8,
        bias: bool | Literal['auto'] = 'auto',
        conv_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] = RELU_SIGMOID,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        first, second = (act_cfg, act_cfg) if isinstance(act_cfg, Mapping) else act_cfg
        squeezed = squeeze_channels or make_divisible(channels // ratio, divisor)
        self.conv1 = ConvModule(channels, squeezed, 1, bias=bias, conv_cfg=conv_cfg, act_cfg=first)
        self.conv2 = ConvModule(squeezed, channels, 1, bias=bias, conv_cfg=conv_cfg, act_cfg=second)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return x_nchw * self.factors(x_nchw)

    def factors(self, x_nchw: Tensor) -> Tensor:
        """The factors of the channels of a map ``(N, C, H, W)``, ``(N, C, 1, 1)``."""
        return self.conv2(self.conv1(x_nchw.mean(dim=(-2, -1), keepdim=True)))
