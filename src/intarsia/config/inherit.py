"""Inheritance: a child's values laid over those of its bases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia.config.origins import Origins
from intarsia.core.errors import ConfigError, Problem

DELETE = '_delete_'


def merge(base: Mapping[str, Any], child: Mapping[str, Any], origins: Origins | None = None) -> dict[str, Any]:
    """Lay ``child`` over ``base``: dicts into dicts, everything else replaced whole.

    A child dict with ``_delete_=True`` replaces the base's value instead of joining it. The key itself stays where
    there was nothing to delete, see :func:`without_delete`.

    Args:
        base: Values of the bases.
        child: Values of the child.
        origins: Origins of the child's values, for messages.

    Raises:
        ConfigError: A child dict would join something that is no dict.
    """
    return _merge(base, child, '', origins or Origins())


def _merge(base: Mapping[str, Any], child: Mapping[str, Any], path: str, origins: Origins) -> dict[str, Any]:
    merged = dict(base)
    for key, value in child.items():
        if key == DELETE:
            continue
        here = f'{path}.{key}' if path else str(key)
        inherited = merged.get(key)
        if isinstance(value, Mapping) and not value.get(DELETE) and isinstance(inherited, Mapping):
            merged[key] = _merge(inherited, value, here, origins)
        elif isinstance(value, Mapping) and not value.get(DELETE) and inherited is not None:
            raise _cannot_join(here, value, inherited, origins)
        elif isinstance(value, Mapping) and key in merged:
            merged[key] = {inner: each for inner, each in value.items() if inner != DELETE}
        else:
            merged[key] = value
    return merged


def _cannot_join(path: str, value: Any, inherited: Any, origins: Origins) -> ConfigError:
    origin = origins.find(path)
    message = (
        f'a dict cannot inherit from a {type(inherited).__name__} ({inherited!r:.60}). '
        f'Write {path.rpartition(".")[2]} = dict(_delete_=True, ...) to replace it.'
    )
    return ConfigError(Problem('bad-inheritance', message, path, *(origin or (None, None))))


def without_delete(value: Any) -> Any:
    """A copy of a config tree without any ``_delete_`` key."""
    if isinstance(value, Mapping):
        return {k: without_delete(v) for k, v in value.items() if k != DELETE}
    if isinstance(value, (list, tuple)):
        return type(value)(without_delete(v) for v in value) if type(value) in (list, tuple) else value
    return value


def replaced_paths(base: Mapping[str, Any], child: Mapping[str, Any], path: str = '') -> list[str]:
    """Paths whose inherited content the child throws away."""
    found = []
    for key, value in child.items():
        here = f'{path}.{key}' if path else str(key)
        if not isinstance(value, Mapping) or value.get(DELETE) or not isinstance(base.get(key), Mapping):
            found.append(here)
        else:
            found.extend(replaced_paths(base[key], value, here))
    return found
