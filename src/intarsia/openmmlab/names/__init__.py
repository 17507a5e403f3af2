"""What the old packages call a thing, and what we have for it.

A table has a line for each of our modules: the names it serves, ``old=ours`` where they differ. A name means the same
in every module of its package. Components need no line: they are found by their names in the registries.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from intarsia.core import registries
from intarsia.core.registry import Registry
from intarsia.openmmlab.names.action import ACTION
from intarsia.openmmlab.names.classification import CLASSIFICATION, FIRST_CLASSIFICATION
from intarsia.openmmlab.names.instead import INSTEAD
from intarsia.openmmlab.names.pose import POSE
from intarsia.openmmlab.names.runtime import RUNTIME
from intarsia.openmmlab.names.segmentation import SEGMENTATION
from intarsia.openmmlab.names.toolbox import TOOLBOX

Table = Mapping[str, str]

PACKAGES: dict[str, tuple[str | None, tuple[str, str], tuple[Table, ...]]] = {
    'mmcv': (None, ('1.7.2', '2.1.0'), (RUNTIME,)),
    'mmengine': (None, ('0.10.7', '0.10.7'), (RUNTIME,)),
    'mmcls': ('classification', ('0.25.0', '1.0.0rc6'), (TOOLBOX, CLASSIFICATION, FIRST_CLASSIFICATION)),
    'mmpretrain': ('classification', ('1.2.0', '1.2.0'), (TOOLBOX, CLASSIFICATION)),
    'mmseg': ('segmentation', ('0.30.0', '1.2.2'), (TOOLBOX, SEGMENTATION)),
    'mmpose': ('pose', ('0.29.0', '1.3.2'), (TOOLBOX, POSE)),
    'mmaction': ('action', ('0.24.1', '1.2.0'), (TOOLBOX, ACTION)),
}
"""Package -> its task, its version beside MMCV 1 and beside MMEngine, its tables."""

COMPONENTS = (
    registries.MODELS, registries.DATASETS, registries.TRANSFORMS, registries.HOOKS, registries.METRICS,
    registries.CODECS, registries.BATCH_AUGMENTS, registries.OPTIMIZERS, registries.OPTIMIZER_BUILDERS,
    registries.SAMPLERS, registries.PIXEL_SAMPLERS, registries.RUNNERS, registries.INITIALIZERS,
)  # fmt: skip
"""Where names are looked up that no table has."""


class Served(NamedTuple):
    """What a name gives."""

    target: Any


def served(module: str, name: str) -> Served | None:
    """What ``name`` of an old module is here; None if it is not served."""
    package = module.partition('.')[0]
    task, versions, _ = PACKAGES[package]
    if name == '__version__':
        return Served(versions['mmengine' in sys.modules])
    place = places(package).get(name)
    if place is not None:
        return Served(_import(place, task))
    for registry in COMPONENTS:
        view = registry.of(task)
        if _has(view, name):
            from intarsia.openmmlab.transforms import callable_without_generator

            return Served(callable_without_generator(view.get(name)))
    return None


@functools.cache
def places(package: str) -> dict[str, str]:
    """Old name -> ``MODULE:NAME`` of ours, for all names that tables of a package have."""
    found: dict[str, str] = {}
    for table in PACKAGES[package][2]:
        for module, words in table.items():
            for old, _, ours in (word.partition('=') for word in words.split()):
                found[old] = f'{module}:{ours or old}'
    return found


def names_of(module: str) -> list[str]:
    """Names that tables have for the package of a module."""
    return sorted(places(module.partition('.')[0]))


def hint(path: str) -> str | None:
    """What to do about a name that is not served; ``path`` is its full dotted name."""
    found = [text for start, text in INSTEAD.items() if path == start or path.startswith(f'{start}.')]
    return found[-1] if found else None


def _import(place: str, task: str | None) -> Any:
    module, _, name = place.partition(':')
    if module == 'registry':
        return _registry(name, task)
    target: Any = importlib.import_module(f'intarsia.{module}' if module != 'torch' else module)
    for part in name.split('.'):
        target = getattr(target, part)
    return _of_task(target, task) if getattr(target, 'takes_task', False) is True else target


@functools.cache
def _of_task(function: Any, task: str | None) -> Any:
    """A function that builds what bare names mean in a task."""
    return functools.partial(function, task=task)


@functools.cache
def _registry(name: str, task: str | None) -> Any:
    """A view of one of our registries, as the code of a task's old package sees it."""
    from intarsia.openmmlab import registry

    old, _, ours = name.partition('/')
    parent: Registry | None = getattr(registries, ours or old, None)
    return registry.Registry(old, parent=parent, task=task)


def _has(registry: Registry, name: str) -> bool:
    return name.isidentifier() and not name.islower() and name in registry
