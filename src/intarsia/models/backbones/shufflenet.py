"""What the ShuffleNets have in common.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.init import constant_init, normal_init
from intarsia.nn.norm import BatchNorm

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}


class ShuffleNet(Backbone):
    """A stem and stages of units; a subclass makes ``conv1``, ``maxpool`` and ``layers``."""

    conv1: nn.Module
    maxpool: nn.Module
    layers: nn.ModuleList
    out_indices: tuple[int, ...]

    def frozen_parts(self) -> Iterable[nn.Module]:
        """``conv1`` and the first ``frozen_stages`` stages."""
        return [] if self.frozen_stages < 0 else [self.conv1, *self.layers[: self.frozen_stages]]

    def init_own_weights(self) -> None:
        """Normal kernels, narrower the more input channels they have; only without ``init_cfg``."""
        if self.init_cfg is None:
            init_shuffle_weights(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        x_nchw = self.maxpool(self.conv1(x))
        outs = []
        for i, layer in enumerate(self.layers):
            x_nchw = layer(x_nchw)
            if i in self.out_indices:
                outs.append(x_nchw)
        return tuple(outs)


def init_shuffle_weights(network: nn.Module) -> None:
    """Normal kernels, narrower the more input channels they have, but for that of ``conv1``."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            normal_init(module, std=0.01 if 'conv1' in name else 1 / module.weight.shape[1])
        elif isinstance(module, (BatchNorm, nn.GroupNorm)):
            constant_init(module, 1, bias=0.0001)
