"""Registries: components by name, imported when their name is first asked for."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intarsia.core.build import build_from_cfg
from intarsia.core.errors import RegistryError, closest
from intarsia.core.index import IndexEntry, builtin_entries, by_name, task_of_module


@dataclass(frozen=True)
class Component:
    """A registered class or function, with the place that registered it."""

    name: str
    task: str | None
    view: str
    target: Any

    @functools.cached_property
    def place(self) -> str:
        """``FILE:LINE`` of the definition, or its module if it has no file; finding it means reading the file."""
        try:
            return f'{inspect.getsourcefile(self.target)}:{inspect.getsourcelines(self.target)[1]}'
        except (OSError, TypeError):
            return f'module {getattr(self.target, "__module__", "?")}'

    @property
    def is_builtin(self) -> bool:
        """Whether the package itself registered it."""
        return _is_builtin(self.target)


class Registry:
    """Components of one kind, by name.

    A *view* (``BACKBONES`` of ``MODELS``) shares the store of its root and remembers who registered through it.
    A *task view* (``MODELS.of('classification')``) resolves bare names for that task first. A user's component
    takes the place of a built-in one of the same name.

    Args:
        name: Name of the variable that holds it, as decorators in source text spell it.
        root: The registry whose store a view shares.
        task: Task whose components a task view prefers.
    """

    def __init__(self, name: str, *, root: Registry | None = None, task: str | None = None) -> None:
        self.name = name
        self.task = task
        self.root: Registry = root.root if root is not None else self
        if root is None:
            self._components: dict[tuple[bool, str | None, str], Component] = {}
            self._views: dict[str, Registry] = {name: self}

    def view(self, name: str) -> Registry:
        """A registry of another name over the same store."""
        view = Registry(name, root=self)
        self.root._views[name] = view
        return view

    @functools.cache  # noqa: B019 - registries live as long as the process
    def of(self, task: str | None) -> Registry:
        """This registry, resolving bare names for ``task``."""
        return Registry(self.name, root=self, task=task) if task else self

    # ------------------------------------------------------------------ registering

    def register_module(
        self,
        name: str | Sequence[str] | type | Callable[..., Any] | None = None,
        force: bool = False,
        module: Any = None,
    ) -> Any:
        """Register a class or function, as ``@R.register_module``, ``@R.register_module(...)`` or a call.

        Args:
            name: One name or several; the name of the class or function if not given.
            force: Replace what the user registered before under this name.
            module: The class or function, when not used as a decorator.

        Returns:
            What was registered, or a decorator.

        Raises:
            RegistryError: Two components of the user, or two built-ins, under one name.
        """
        if name is not None and not isinstance(name, (str, Sequence)):
            name, module = None, name
        if not isinstance(force, bool):
            raise TypeError(f'force must be a bool, not {type(force).__name__}')
        if module is None:
            return functools.partial(self._register, name, force)
        return self._register(name, force, module)

    def _register(self, name: str | Sequence[str] | None, force: bool, target: Any) -> Any:
        if not (inspect.isclass(target) or callable(target)):
            raise TypeError(f'only classes and functions can be registered in {self.name}, not {target!r}')
        names = [name] if isinstance(name, str) else list(name) if name else [target.__name__]
        for each in names:
            self._add(Component(each, self.task_for(target), self.name, target), force)
        return target

    def task_for(self, target: Any) -> str | None:
        """The task a component belongs to: its folder, the view it came through, or its base classes."""
        if _is_builtin(target):
            return task_of_module(target.__module__)
        if self.task:
            return self.task
        bases = inspect.getmro(target)[1:] if inspect.isclass(target) else ()
        return next((task for task in (task_of_module(base.__module__) for base in bases) if task), None)

    def _add(self, component: Component, force: bool) -> None:
        key = (component.is_builtin, component.task, component.name)
        known = self.root._components.get(key)
        if known and not force and not _same_definition(known, component):
            raise RegistryError(
                f"{self.name} has two definitions of '{component.name}': {known.place} and {component.place}. "
                f'Rename one, or write @{self.name}.register_module(force=True) on the one that should count.'
            )
        self.root._components[key] = component

    # ------------------------------------------------------------------ finding

    def get(self, name: str) -> Any:
        """The class or function of that name, imported if need be.

        Args:
            name: A name, or one qualified by its task, ``'segmentation.CrossEntropyLoss'``.

        Raises:
            RegistryError: No such name; the message has the close ones and the other registries that have it.
        """
        return self.find(name).target

    def find(self, name: str) -> Component:
        """As :meth:`get`, with the place and the task of the component."""
        if not isinstance(name, str):
            raise TypeError(f'a name in {self.name} is a string, not {name!r}')
        task, bare = self._split(name)
        user = self._stored(False, task, bare)
        if user is not None:
            return user
        entry = self.entry(name)
        if entry is not None:
            return self._import(entry)
        text, meant = self.explain_miss(name)
        raise RegistryError(text + (f" Did you mean '{meant}'?" if meant else ''))

    def entry(self, name: str) -> IndexEntry | None:
        """The index entry of a built-in component, found without importing it; None if there is none."""
        task, bare = self._split(name)
        entries = [e for e in by_name().get(bare, ()) if e.registry in self.root._views]
        exact = [e for e in entries if e.task == task] or [e for e in entries if e.task is None]
        if exact:
            return exact[0]
        if task is None and entries:
            if len({e.task for e in entries}) > 1:
                choices = ', '.join(f"'{e.task}.{bare}'" for e in entries)
                raise RegistryError(f"'{bare}' means something else in each task; say which: {choices}.")
            return entries[0]
        return None

    def user_component(self, name: str) -> Component | None:
        """The user's own component of that name, if one is registered."""
        task, bare = self._split(name)
        return self._stored(False, task, bare)

    def _split(self, name: str) -> tuple[str | None, str]:
        head, _, rest = name.partition('.')
        return (head, rest) if rest and head in all_tasks() else (self.task, name)

    def _stored(self, builtin: bool, task: str | None, name: str) -> Component | None:
        components = self.root._components
        found = components.get((builtin, task, name)) or components.get((builtin, None, name))
        if found is None and task is None:
            found = next((c for (b, _, n), c in components.items() if b == builtin and n == name), None)
        return found

    def _import(self, entry: IndexEntry) -> Component:
        key = (True, entry.task, entry.name)
        if key not in self.root._components:
            module = importlib.import_module(entry.module)
            if not entry.module.startswith('intarsia'):
                target = getattr(module, entry.target)
                self.root._components[key] = Component(entry.name, None, self.name, target)
        if key not in self.root._components:
            raise RegistryError(f"{entry.file}:{entry.line}: '{entry.name}' did not register itself on import.")
        return self.root._components[key]

    def explain_miss(self, name: str) -> tuple[str, str | None]:
        """Why ``name`` was not found, with the registry or task that does have it; and the name that was meant."""
        _, bare = self._split(name)
        text = f"'{name}' is not in {self.name}."
        entries, names = by_name().get(bare, ()), self.names()
        elsewhere = sorted({e.registry for e in entries} - set(self.root._views))
        tasks = sorted({e.task for e in entries if e.registry in self.root._views and e.task})
        if elsewhere:
            text += f' It is registered in {", ".join(elsewhere)}.'
        elif tasks:
            return f'{text} It belongs to {" and ".join(tasks)}, not to {self.task}.', None
        elif closest(bare, names, cutoff=0.8) is None:
            text += (
                ' If it is your own, name its module in custom_imports: '
                "custom_imports = dict(imports=['my_package.my_module'])."
            )
        return text, closest(bare, names)

    def names(self) -> list[str]:
        """All names that :meth:`get` finds through this view, sorted; a view lists what came through it."""
        mine = set(self.root._views) if self.root.name == self.name else {self.name}
        tasks = {self.task, None} if self.task else None
        static = {e.name for e in builtin_entries() if e.registry in mine and (tasks is None or e.task in tasks)}
        own = {c.name for c in self.root._components.values() if c.view in mine and not c.is_builtin}
        return sorted(static | own)

    def replaced_builtins(self) -> list[Component]:
        """The user's components that stand in for built-in ones of the same name."""
        mine = [c for c in self.root._components.values() if not c.is_builtin]
        return [c for c in mine if any(e.registry in self.root._views for e in by_name().get(c.name, ()))]

    # ------------------------------------------------------------------ building

    def build(self, cfg: Mapping[str, Any], **default_args: Any) -> Any:
        """Build the object that ``cfg`` describes; see :func:`intarsia.core.build.build_from_cfg`."""
        return build_from_cfg(cfg, self, default_args or None)

    def __contains__(self, name: str) -> bool:
        """Whether :meth:`get` would find ``name``."""
        return self.user_component(name) is not None or self.entry(name) is not None

    def __iter__(self) -> Iterator[str]:
        """Names, sorted."""
        return iter(self.names())

    def __len__(self) -> int:
        """Number of names."""
        return len(self.names())

    def __repr__(self) -> str:
        """``Registry(BACKBONES, 11 names)``."""
        return f'Registry({self.name}, {len(self)} names)'


@functools.cache
def all_tasks() -> frozenset[str]:
    """Names of the task folders that hold components."""
    return frozenset(e.task for e in builtin_entries() if e.task)


def _is_builtin(target: Any) -> bool:
    return str(getattr(target, '__module__', '')).split('.', 1)[0] in ('intarsia', 'torch')


def _same_definition(one: Component, other: Component) -> bool:
    """Whether both are one definition: the same object, or the same source line loaded again."""
    if one.target is other.target:
        return True
    same_name = getattr(one.target, '__qualname__', 1) == getattr(other.target, '__qualname__', 2)
    return same_name and one.place == other.place
