"""Activations by config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.arguments import signature_of
from intarsia.core.registries import ACTIVATION_LAYERS

ACTIVATION_LAYERS.register_module(name='ReLU', module=nn.ReLU)
ACTIVATION_LAYERS.register_module(name='LeakyReLU', module=nn.LeakyReLU)
ACTIVATION_LAYERS.register_module(name='PReLU', module=nn.PReLU)
ACTIVATION_LAYERS.register_module(name='RReLU', module=nn.RReLU)
ACTIVATION_LAYERS.register_module(name='ReLU6', module=nn.ReLU6)
ACTIVATION_LAYERS.register_module(name='ELU', module=nn.ELU)
ACTIVATION_LAYERS.register_module(name='Sigmoid', module=nn.Sigmoid)
ACTIVATION_LAYERS.register_module(name='Tanh', module=nn.Tanh)
ACTIVATION_LAYERS.register_module(name='GELU', module=nn.GELU)
ACTIVATION_LAYERS.register_module(name='SiLU', module=nn.SiLU)
ACTIVATION_LAYERS.register_module(name='HSwish', module=nn.Hardswish)
ACTIVATION_LAYERS.register_module(name='Softplus', module=nn.Softplus)
ACTIVATION_LAYERS.register_module(name='Identity', module=nn.Identity)


def takes_inplace(kind: str | type) -> bool:
    """Whether an activation has an argument ``inplace``."""
    target = ACTIVATION_LAYERS.get(kind) if isinstance(kind, str) else kind
    return 'inplace' in signature_of(target).arguments


def build_activation_layer(cfg: Mapping[str, Any]) -> nn.Module:
    """Build an activation from ``dict(type=..., **arguments)``.

    Raises:
        RegistryError: ``type`` is not in ACTIVATION_LAYERS.
        TypeError: An argument that the activation does not take.
    """
    return ACTIVATION_LAYERS.build(cfg)


@ACTIVATION_LAYERS.register_module()
class HSigmoid(nn.Module):
    """Piecewise linear sigmoid, ``clip((x + bias) / divisor, min_value, max_value)``.

    "Searching for MobileNetV3" (Howard et al., 2019, arXiv:1905.02244). Earlier releases of other toolboxes used
    ``bias=1, divisor=2``.

    Args:
        bias: Added to the input.
        divisor: What the sum is divided by.
        min_value: Lower bound of the result.
        max_value: Upper bound of the result.
    """

    def __init__(self, bias: float = 3.0, divisor: float = 6.0, min_value: float = 0.0, max_value: float = 1.0) -> None:
        super().__init__()
        if divisor == 0:
            raise ValueError('HSigmoid: divisor must not be 0')
        self.bias, self.divisor, self.min_value, self.max_value = bias, divisor, min_value, max_value

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return ((x + self.bias) / self.divisor).clamp(self.min_value, self.max_value)


@ACTIVATION_LAYERS.register_module()
class Swish(nn.Module):
    """``x * sigmoid(x)`` without an argument ``inplace``; the same function as SiLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return nn.functional.silu(x)


@ACTIVATION_LAYERS.register_module()
class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)``, the approximation of GELU that CLIP uses."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return x * torch.sigmoid(1.702 * x)


@ACTIVATION_LAYERS.register_module(name=['Clamp', 'Clip'])
class Clamp(nn.Module):
    """Limit values to a range.

    Args:
        min: Lower bound.
        max: Upper bound.
    """

    def __init__(self, min: float = -1.0, max: float = 1.0) -> None:
        super().__init__()
        self.min, self.max = min, max

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return x.clamp(self.min, self.max)
