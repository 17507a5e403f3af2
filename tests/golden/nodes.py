"""Config nodes of records, and how their words become ours."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import three_channels

Node = dict[str, Any]
Named = dict[str, Any]


class UnmappedError(Exception):
    """A fixture asks for what does not exist here."""


def renamed(node: Node, task: str, /, **names: Any) -> Node:
    """The node with some keys renamed; ``type`` gives the new type, a pair a new name and a function of the value."""
    result = {'type': names.pop('type', node['type'])}
    for key, value in node.items():
        if key in names:
            name = names[key]
            name, change = name if isinstance(name, tuple) else (name, lambda same: same)
            result[name] = change(value)
        elif key != 'type':
            result[key] = value
    accepted = inspect.signature(TRANSFORMS.of(task).get(result['type'])).parameters
    unknown = [key for key in result if key != 'type' and key not in accepted]
    if unknown:
        raise UnmappedError(f'{node["type"]}({", ".join(unknown)})')
    return result


def without(node: Node, *keys: str) -> Node:
    """The node without some keys."""
    return {key: value for key, value in node.items() if key not in keys}


def flipped(size: Any) -> Any:
    """``(width, height)`` to ``(height, width)``."""
    return size if isinstance(size, int) else tuple(size)[::-1]


def on_all_channels(value: Any) -> Any:
    """A number of the newer generation, which fills all channels."""
    if isinstance(value, dict):
        raise UnmappedError('Pad of images and maps together')
    return three_channels('pad_val', value)


def flatten(results: Mapping[str, Any], prefix: str = '') -> Named:
    """Nested dicts as one, names joined with dots."""
    flat: Named = {}
    for key, value in results.items():
        flat |= flatten(value, f'{prefix}{key}.') if isinstance(value, Mapping) else {f'{prefix}{key}': value}
    return flat
