"""Registries as the old packages' code sees them: a miss is None, and a child is a view of its parent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from intarsia.core import build, registry
from intarsia.core.errors import RegistryError
from intarsia.openmmlab.config import ConfigDict
from intarsia.openmmlab.errors import also


class Registry(registry.Registry):
    """A registry that answers the old way.

    Args:
        name: What messages call it.
        build_func: Builds from ``(cfg, registry)`` in :meth:`build`; None for the usual way.
        parent: What is registered here is registered there, and what is there is found here.
        scope: Kept for old code; names need no scope.
        locations: The same: modules are found by their names.
        task: Task whose components bare names mean; by default the parent's.
    """

    def __init__(
        self,
        name: str,
        build_func: Callable[..., Any] | None = None,
        parent: registry.Registry | None = None,
        scope: str | None = None,
        locations: Sequence[str] = (),
        *,
        task: str | None = None,
    ) -> None:
        super().__init__(name, root=parent, task=task or getattr(parent, 'task', None))
        self.build_func = build_func
        self.parent = parent
        self.scope = scope or 'intarsia'

    def get(self, name: str) -> Any:
        """The class or function of that name; None if there is none."""
        try:
            return super().get(_bare(name))
        except RegistryError:
            return None

    def find(self, name: str) -> registry.Component:
        """As :meth:`intarsia.core.registry.Registry.find`, also for names with an old scope."""
        return super().find(_bare(name))

    def build(self, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        """Build from a config; ``default_args=`` is a dict, as it was."""
        if self.build_func is not None:
            return self.build_func(cfg, *args, **kwargs, registry=self)
        return build_from_cfg(cfg, self, *args, **kwargs)

    @property
    def module_dict(self) -> dict[str, Any]:
        """Every component by name; asking for it imports them all."""
        return {name: self.get(name) for name in self.names()}

    _module_dict = module_dict


def build_from_cfg(cfg: Any, registry: registry.Registry, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build an object from ``dict(type=..., **arguments)``; see :func:`intarsia.core.build.build_from_cfg`.

    Raises:
        KeyError: The registry does not have the name, or the config no ``type``.
        TypeError: ``cfg`` is no dict, or its arguments do not fit.
        AssertionError: Values of arguments are wrong; it is a ValueError too.
    """
    if isinstance(cfg, (list, tuple)):
        from intarsia.nn.module import Sequential

        return Sequential(*(build_from_cfg(each, registry, default_args) for each in cfg))
    if isinstance(cfg, Mapping) and isinstance(cfg.get('type'), str):
        cfg = {**cfg, 'type': _bare(cfg['type'])}
    if default_args and isinstance(cfg, Mapping) and 'type' not in cfg:
        cfg = {**cfg, 'type': default_args.get('type')}
    defaults = {key: value for key, value in (default_args or {}).items() if key != 'type'}
    try:
        return build.build_from_cfg(ConfigDict(cfg) if isinstance(cfg, Mapping) else cfg, registry, defaults)
    except ValueError as error:
        raise also(error, AssertionError) from error


def build_model_from_cfg(cfg: Any, registry: registry.Registry, default_args: Mapping[str, Any] | None = None) -> Any:
    """The same; a list of configs gives a sequence of modules."""
    return build_from_cfg(cfg, registry, default_args)


def _bare(name: Any) -> Any:
    from intarsia.config.dialects.names import bare

    return bare(name) if isinstance(name, str) else name


def init_default_scope(scope: str) -> None:
    """Nothing: names need no scope."""


def register_all_modules(init_default_scope: bool = True) -> None:
    """Nothing: components are found by their names."""


class DefaultScope:
    """The scope of names; there is one."""

    scope_name = 'intarsia'

    @classmethod
    def get_current_instance(cls) -> DefaultScope:
        """The scope."""
        return cls()

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> DefaultScope:
        """The scope."""
        return cls()
