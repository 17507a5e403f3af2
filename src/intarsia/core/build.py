"""One config node -> one object."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from intarsia.core.arguments import Signature, signature_of
from intarsia.core.errors import closest

if TYPE_CHECKING:
    from intarsia.core.registry import Registry


def build_from_cfg(cfg: Mapping[str, Any], registry: Registry, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build an object from ``dict(type=..., **arguments)``.

    Args:
        cfg: The node. ``type`` is a name in ``registry``, or a class or function. It is not changed.
        registry: Where names are looked up.
        default_args: Arguments used where ``cfg`` has none.

    Returns:
        What calling the type with the arguments gives.

    Raises:
        TypeError: ``cfg`` is not a dict, or an argument is unknown or missing.
        KeyError: ``cfg`` has no ``type``, or the registry does not know it.
    """
    if not isinstance(cfg, Mapping):
        raise TypeError(f"a config node is a dict with the key 'type', not {cfg!r}")
    arguments = {**(default_args or {}), **cfg}
    if 'type' not in arguments:
        raise KeyError(f"a config node for {registry.name} must contain the key 'type', but has {sorted(cfg)}")
    kind = arguments.pop('type')
    if isinstance(kind, str):
        kind = registry.find(kind).target
    elif not (inspect.isclass(kind) or inspect.isroutine(kind)):
        raise TypeError(f'type must be a name in {registry.name}, a class or a function, not {kind!r}')
    check_arguments(kind, arguments)
    try:
        return kind(**arguments)
    except Exception as error:
        error.add_note(f'while building {kind.__name__} ({registry.name})')
        raise


def check_arguments(target: Any, given: Mapping[str, Any]) -> None:
    """Raise a TypeError that names the first argument ``target`` does not take, or lacks."""
    signature = signature_of(target)
    for name in given:
        message = unknown_argument(target.__name__, name, signature)
        if message:
            raise TypeError(message)
    missing = [a.name for a in signature.arguments.values() if a.required and a.name not in given]
    if missing:
        raise TypeError(f'{target.__name__} needs the argument{"s" * (len(missing) > 1)} {", ".join(missing)}')


def unknown_argument(component: str, name: str, signature: Signature) -> str | None:
    """The sentence that says ``component`` has no argument ``name``; None if it has."""
    if signature.is_open or name in signature.arguments:
        return None
    close = closest(name, signature.arguments)
    hint = f" Did you mean '{close}'?" if close else ''
    accepts = ', '.join(signature.arguments) or 'none'
    return f"{component} has no argument '{name}'.{hint} It accepts: {accepts}."
