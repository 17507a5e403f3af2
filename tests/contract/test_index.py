"""The static index and the static signatures say what importing everything says."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import intarsia
from intarsia.core.arguments import signature_of, static_signature
from intarsia.core.index import builtin_entries
from intarsia.core.registries import all_registries

ENTRIES = builtin_entries()


def test_the_index_is_what_registers_on_import():
    for module in pkgutil.walk_packages(intarsia.__path__, 'intarsia.'):
        if not module.name.startswith(('intarsia.recipes', 'intarsia.__main__')):
            importlib.import_module(module.name)
    indexed = {(e.task, e.name, all_registries()[e.registry].root.name) for e in ENTRIES if e.module[:8] == 'intarsia'}
    registered = {
        (c.task, c.name, registry.name)
        for registry in all_registries().values()
        if registry.root is registry
        for c in registry._components.values()
        if c.is_builtin and not (registry.name == 'OPTIMIZERS' and c.target.__module__.startswith('torch'))
    }
    assert registered == indexed


def test_no_key_is_used_twice():
    keys = [(all_registries()[e.registry].root.name, e.task, e.name) for e in ENTRIES]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda e: f'{e.registry}.{e.task or "all"}.{e.name}')
def test_static_signature_equals_the_imported_one(entry):
    target = all_registries()[entry.registry].get(f'{entry.task}.{entry.name}' if entry.task else entry.name)
    static, imported = static_signature(entry.module, entry.target), signature_of(target)
    assert list(static.arguments) == list(imported.arguments)
    assert static.is_open == imported.is_open
    assert [a.required for a in static.arguments.values()] == [a.required for a in imported.arguments.values()]
