"""A module of an old package: its names are looked up when they are first asked for."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from intarsia.core.errors import closest
from intarsia.openmmlab.names import hint, names_of, served


class OldModule(ModuleType):
    """Serves the names of one module."""

    def __getattr__(self, name: str) -> Any:
        """What we have for a name.

        Raises:
            ImportError: ``from module import name`` of something that is not served; it says what to use instead.
            AttributeError: The same, asked for in another way.
        """
        return _find(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *names_of(self.__name__)})


def serve_missing_names(module: ModuleType) -> None:
    """Let a module of the user's own have, beside its names, those of the old one."""
    if '__getattr__' not in vars(module):
        find: Callable[[str], Any] = lambda name: _find(module, name)  # noqa: E731 - it needs the module
        vars(module)['__getattr__'] = find


def _exists(path: str) -> bool:
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:
        return False


def _find(module: ModuleType, name: str) -> Any:
    path = f'{module.__name__}.{name}'
    if not (name.startswith('__') and name != '__version__'):
        found = served(module.__name__, name)
        if found is not None:
            if name != '__version__':  # it is another one once MMEngine is imported
                vars(module)[name] = found.target
            return found.target
        if _exists(path):
            return importlib.import_module(path)
    close = closest(name, names_of(module.__name__), 0.8)
    text = f"Intarsia does not serve '{name}' of {module.__name__}. " + (hint(path) or '')
    text = text.strip() + (f" Did you mean '{close}'?" if close else '')
    is_from_import = sys._getframe(2).f_code.co_filename.startswith('<frozen importlib')
    if is_from_import and not name.startswith('__'):
        raise ImportError(text, name=path)
    raise AttributeError(text, name=name, obj=module)
