"""Normalization layers by config, with the names that checkpoints know (``bn1``, ``ln``, ...).

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from intarsia.core.registries import NORM_LAYERS

NORM_LAYERS.register_module(name=['BN', 'BN2d'], module=nn.BatchNorm2d)
NORM_LAYERS.register_module(name='BN1d', module=nn.BatchNorm1d)
NORM_LAYERS.register_module(name='BN3d', module=nn.BatchNorm3d)
NORM_LAYERS.register_module(name='GN', module=nn.GroupNorm)
NORM_LAYERS.register_module(name='LN', module=nn.LayerNorm)
NORM_LAYERS.register_module(name=['IN', 'IN2d'], module=nn.InstanceNorm2d)
NORM_LAYERS.register_module(name='IN1d', module=nn.InstanceNorm1d)
NORM_LAYERS.register_module(name='IN3d', module=nn.InstanceNorm3d)

BatchNorm = _BatchNorm
"""Base class of every batch norm, synchronized or not."""


@NORM_LAYERS.register_module(name='SyncBN')
class SyncBatchNorm(nn.SyncBatchNorm):
    """Batch norm whose statistics are those of the batch over all processes.

    Without a process group, or with a group of one, it is plain batch norm, on any device; so one config trains on
    a laptop and on a cluster. In a larger group PyTorch needs the tensors on accelerators and says so otherwise.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``, ``(N, C, ...)``."""
        alone = not torch.distributed.is_available() or not torch.distributed.is_initialized()
        if alone or torch.distributed.get_world_size(self.process_group) == 1:
            return _BatchNorm.forward(self, x)
        return super().forward(x)

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() < 2:
            raise ValueError(f'SyncBN expects a tensor (N, C, ...), not one of {x.dim()} axes')


@NORM_LAYERS.register_module(name='LN2d')
class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map, at every place.

    Args:
        num_channels: Channels C.
        eps: Added to the variance.
        elementwise_affine: Learn a scale and an offset per channel.
    """

    def __init__(self, num_channels: int, eps: float = 1e-5, elementwise_affine: bool = True) -> None:
        super().__init__(num_channels, eps=eps, elementwise_affine=elementwise_affine)
        self.num_channels = num_channels

    def forward(self, x: Tensor, data_format: str = 'channel_first') -> Tensor:
        """Normalize ``x``, ``(N, C, H, W)``, or ``(N, H, W, C)`` with ``data_format='channel_last'``.

        Returns:
            A tensor of the same shape.
        """
        if data_format == 'channel_last':
            return super().forward(x)
        x_nhwc = super().forward(x.permute(0, 2, 3, 1))
        return x_nhwc.permute(0, 3, 1, 2).contiguous()


class GlobalResponseNorm(nn.Module):
    """Scale channels by their share of the map's energy.

    "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders" (Woo et al., 2023, arXiv:2301.00808).

    Args:
        in_channels: Channels C.
        eps: Added to the mean energy.
    """

    def __init__(self, in_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(in_channels))
        self.beta = nn.Parameter(torch.zeros(in_channels))
        self.eps = eps

    def forward(self, x_nhwc: Tensor) -> Tensor:
        """``(N, H, W, C)`` in and out."""
        energy_n11c = torch.linalg.vector_norm(x_nhwc, dim=(1, 2), keepdim=True)
        share_n11c = energy_n11c / (energy_n11c.mean(dim=-1, keepdim=True) + self.eps)
        return self.gamma * (x_nhwc * share_n11c) + self.beta + x_nhwc


def build_norm_layer(cfg: Mapping[str, Any], num_features: int, postfix: int | str = '') -> tuple[str, nn.Module]:
    """Build a normalization layer.

    Args:
        cfg: ``type``, its arguments (``eps`` is 1e-5 if not given), and ``requires_grad`` for its parameters.
        num_features: Number of channels.
        postfix: Put after the name.

    Returns:
        The name of the layer (``bn``, ``gn``, ``ln``, ``in``, with the postfix) and the layer.

    Raises:
        RegistryError: ``type`` is not in NORM_LAYERS.
        TypeError: ``cfg`` has no ``type``, or GN has no ``num_groups``.
    """
    options = dict(cfg)
    if 'type' not in options:
        raise TypeError(f"norm_cfg needs the key 'type', but has {sorted(options)}")
    kind = options.pop('type')
    layer_class = NORM_LAYERS.get(kind) if isinstance(kind, str) else kind
    requires_grad = options.pop('requires_grad', True)
    options.setdefault('eps', 1e-5)
    if inspect.isclass(layer_class) and issubclass(layer_class, nn.GroupNorm):
        if 'num_groups' not in options:
            raise TypeError("norm_cfg of type 'GN' needs num_groups")
        layer = layer_class(num_channels=num_features, **options)
    else:
        layer = layer_class(num_features, **options)
    for parameter in layer.parameters():
        parameter.requires_grad = requires_grad
    return f'{norm_name(type(layer))}{postfix}', layer


def norm_name(layer_class: type) -> str:
    """How checkpoints call a layer of this class: ``bn``, ``gn``, ``ln``, ``in`` or ``norm_layer``."""
    own = getattr(layer_class, '_abbr_', None)
    if own:
        return own
    bases = {_InstanceNorm: 'in', _BatchNorm: 'bn', nn.GroupNorm: 'gn', nn.LayerNorm: 'ln'}
    words = {'batch': 'bn', 'group': 'gn', 'layer': 'ln', 'instance': 'in'}
    by_base = (short for base, short in bases.items() if issubclass(layer_class, base))
    by_word = (short for word, short in words.items() if word in layer_class.__name__.lower())
    return next(by_base, None) or next(by_word, 'norm_layer')


def revert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Replace every synchronized batch norm below ``module`` by a plain one with the same weights.

    Returns:
        ``module``, or its replacement if it is a synchronized batch norm itself.
    """
    for name, child in module.named_children():
        reverted = revert_sync_batchnorm(child)
        if reverted is not child:
            setattr(module, name, reverted)
    if not isinstance(module, nn.SyncBatchNorm):
        return module
    plain = _AnyDimBatchNorm(
        module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
    )
    plain.load_state_dict(module.state_dict())
    for ours, theirs in zip(plain.parameters(), module.parameters(), strict=True):
        ours.requires_grad = theirs.requires_grad
    plain.train(module.training)
    return plain.to(next(iter(module.state_dict().values())).device) if module.state_dict() else plain


class _AnyDimBatchNorm(_BatchNorm):
    """Batch norm of ``(N, C, ...)`` with any number of axes."""

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() < 2:
            raise ValueError(f'batch norm expects a tensor (N, C, ...), not one of {x.dim()} axes')
