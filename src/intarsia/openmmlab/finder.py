"""Finds the modules of the old packages: the user's own files first, then what we serve."""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from intarsia.core.errors import closest
from intarsia.openmmlab.module import OldModule, serve_missing_names
from intarsia.openmmlab.names import PACKAGES, hint

TUTORIAL_MODULES = (
    'mmseg.core.optimizer', 'mmpose.core.optimizer', 'mmseg.models.registry', 'mmpose.models.keypoint_heads',
    'mmaction.core.optimizer.registry', 'mmseg.core.optimizer.registry', 'mmpose.core.optimizer.registry',
)  # fmt: skip
"""Modules that tutorials name and no release has."""


SIMILAR = 0.85
"""From this ratio on a module that there was not is taken for a misspelt one."""


def install() -> None:
    """Let the import paths of the old packages lead here, in this process; a second call does nothing."""
    if not any(isinstance(finder, OldPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, OldPackages())


@functools.cache
def known_modules() -> frozenset[str]:
    """Dotted names of all modules of the old packages, of either generation."""
    found: list[str] = list(TUTORIAL_MODULES)
    trail: list[str] = []
    for line in (Path(__file__).parent / 'modules.txt').read_text(encoding='utf-8').splitlines():
        name = line.lstrip(' ')
        trail[len(line) - len(name) :] = [name]
        found.append('.'.join(trail))
    return frozenset(found)


class OldPackages(MetaPathFinder):
    """Finds ``mmcv`` and its relatives where they are not installed.

    A project's own files in a folder of the same name, ``mmseg/models/losses/my_loss.py``, are found as if they lay
    in the package.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec; None for what others have to find.

        Raises:
            ModuleNotFoundError: There was no such module, but one of almost that name; or what it belongs to is not
                part of this package.
        """
        package = name.partition('.')[0]
        if package == 'mmdet' and not is_installed(package) and PathFinder.find_spec(name, path) is None:
            raise ModuleNotFoundError(f"No module named '{name}'. {hint(name)}", name=name)
        if package not in PACKAGES or is_installed(package):
            return None
        own = PathFinder.find_spec(name, path, target)
        if own is not None and own.loader is not None and own.origin is not None:
            if own.submodule_search_locations is not None:
                own.loader = _OwnPackage(own.loader)
            return own
        if name not in known_modules():
            close = closest(name, known_modules(), SIMILAR) if own is None else None
            if close is not None:
                raise ModuleNotFoundError(f"No module named '{name}'. Did you mean '{close}'?", name=name)
            return own
        spec = ModuleSpec(name, _OldModuleLoader(), is_package=True)
        spec.submodule_search_locations = list(own.submodule_search_locations or ()) if own is not None else []
        return spec


@functools.cache
def is_installed(package: str) -> bool:
    """Whether the real package is there, among the libraries of this Python."""
    spec = PathFinder.find_spec(package)
    if spec is None or spec.origin is None:
        return False
    libraries = {Path(sysconfig.get_path(kind)).resolve() for kind in ('purelib', 'platlib')}
    return any(libraries & set(Path(spec.origin).resolve().parents))


class _OldModuleLoader(Loader):
    """Makes the modules that we serve."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return OldModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: names are looked up when they are asked for."""


class _OwnPackage(Loader):
    """Loads a folder of the user's own, and adds the names of ours that it lacks."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        serve_missing_names(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)
