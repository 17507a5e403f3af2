"""Values as config files see those of their bases: dicts whose items are attributes too."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from intarsia.config.inherit import merge


class Attributes(dict[str, Any]):
    """A dict whose items are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no base has '{name}'") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = attributes(value)

    def update(self, *args: Any, **options: Any) -> None:
        """Take over items; a dict joins the dict that is there."""
        for key, value in dict(*args, **options).items():
            if isinstance(self.get(key), Attributes) and isinstance(value, Mapping):
                self[key].update(value)
            else:
                self[key] = attributes(value)

    def merge(self, child: Mapping[str, Any]) -> None:
        """Lay a dict over this one as a config is laid over its base: ``_delete_`` counts."""
        merged = attributes(merge(self, child))
        self.clear()
        super().update(merged)


def attributes(value: Any) -> Any:
    """A copy of a config tree whose dicts are :class:`Attributes`."""
    if isinstance(value, Mapping):
        return Attributes((k, attributes(v)) for k, v in value.items())
    return type(value)(map(attributes, value)) if type(value) in (list, tuple) else value


def plain(value: Any) -> Any:
    """A copy of a config tree whose dicts are plain."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def is_code(value: Any) -> bool:
    """Whether this is no value of a config but part of the code around it."""
    return isinstance(value, (types.ModuleType, types.FunctionType, type))
