"""Convolutions by config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from intarsia.core.registries import CONV_LAYERS

CONV_LAYERS.register_module(name='Conv1d', module=nn.Conv1d)
CONV_LAYERS.register_module(name=['Conv2d', 'Conv'], module=nn.Conv2d)
CONV_LAYERS.register_module(name='Conv3d', module=nn.Conv3d)


def build_conv_layer(cfg: Mapping[str, Any] | None, *args: Any, **kwargs: Any) -> nn.Module:
    """Build a convolution.

    Args:
        cfg: Config with ``type`` and extra arguments; None means ``dict(type='Conv2d')``.
        *args: Arguments of the layer by position, as ``nn.Conv2d`` takes them.
        **kwargs: Arguments of the layer by name.

    Raises:
        RegistryError: ``type`` is not in CONV_LAYERS.
        TypeError: ``cfg`` is not a dict with a ``type``.
    """
    options = {'type': 'Conv2d'} if cfg is None else dict(cfg)
    if 'type' not in options:
        raise TypeError(f"conv_cfg needs the key 'type', but has {sorted(options)}")
    kind = options.pop('type')
    layer = CONV_LAYERS.get(kind) if isinstance(kind, str) else kind
    return layer(*args, **kwargs, **options)
