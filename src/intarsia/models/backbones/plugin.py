"""Layers that configs put into the blocks of a network.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import PLUGIN_LAYERS
from intarsia.nn.conv_module import ConvModule

PLUGIN_LAYERS.register_module(name='ConvModule', module=ConvModule)

POSITIONS = ('after_conv1', 'after_conv2', 'after_conv3')
"""Where in a bottleneck a plugin may stand."""


def build_plugin_layer(cfg: Mapping[str, Any], postfix: int | str = '', **kwargs: Any) -> tuple[str, nn.Module]:
    """Build a layer that keeps the number of channels.

    Args:
        cfg: ``type`` and arguments.
        postfix: Put after the name.
        **kwargs: Arguments that the network adds, ``in_channels``.

    Returns:
        The name of the layer in checkpoints (its ``_abbr_``, or its class name in snake case) and the layer.

    Raises:
        RegistryError: ``type`` is not in PLUGIN_LAYERS.
    """
    layer = PLUGIN_LAYERS.build(cfg, **kwargs)
    own = getattr(type(layer), '_abbr_', None)
    return f'{own or _snake_case(type(layer).__name__)}{postfix}', layer


def _snake_case(name: str) -> str:
    words = re.sub(r'([A-Z]+)([A-Z][a-z])', r'\1_\2', name)
    return re.sub(r'([a-z\d])([A-Z])', r'\1_\2', words).lower()


def plugins_of_stage(plugins: Sequence[Mapping[str, Any]] | None, stage: int) -> list[dict[str, Any]] | None:
    """Those of a network's plugins that its stage number ``stage`` has; all that name no ``stages``, and None for none.

    Args:
        plugins: ``dict(cfg=dict(type=...), position='after_conv2', stages=(False, True, True, True))`` for each.
        stage: From 0.
    """
    chosen = [plugin for plugin in plugins or () if plugin.get('stages') is None or plugin['stages'][stage]]
    return [{key: value for key, value in plugin.items() if key != 'stages'} for plugin in chosen] or None


class BlockPlugins:
    """The plugins of one block: they are children of the block, and this remembers which stands where.

    Args:
        block: The block that gets the layers.
        plugins: ``dict(cfg=dict(type=..., postfix=...), position=...)`` for each, applied in this order.
        channels: Channels at each of :data:`POSITIONS`.

    Raises:
        ValueError: A position is unknown, or two plugins have one name (``postfix`` tells them apart).
    """

    def __init__(self, block: nn.Module, plugins: Sequence[Mapping[str, Any]], channels: Sequence[int]) -> None:
        self.names: dict[str, list[str]] = {position: [] for position in POSITIONS}
        for plugin in plugins:
            position = plugin.get('position')
            if position not in POSITIONS:
                raise ValueError(f'the position of a plugin is one of {", ".join(POSITIONS)}, not {position!r}')
            cfg = dict(plugin['cfg'])
            postfix = cfg.pop('postfix', '')
            name, layer = build_plugin_layer(cfg, postfix, in_channels=channels[POSITIONS.index(position)])
            if hasattr(block, name):
                raise ValueError(f"a block has two plugins '{name}'; tell them apart by postfix=1, postfix=2")
            block.add_module(name, layer)
            self.names[position].append(name)

    def apply(self, block: nn.Module, position: str, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` through the plugins at a position."""
        for name in self.names[position]:
            x_nchw = getattr(block, name)(x_nchw)
        return x_nchw
