"""The tables of names: what the older toolboxes call otherwise, made from the tables that translate it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from intarsia.config.dialects import names
from intarsia.config.dialects.one_x import data, data_sets, steps
from intarsia.core import registries
from intarsia.core.index import builtin_entries
from intarsia.openmmlab.names import PACKAGES, places

REGISTRIES = {'MODELS': registries.MODELS, 'DATASETS': registries.DATASETS, 'TRANSFORMS': registries.TRANSFORMS}


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in lines)


def transforms() -> str:
    """Steps of 1.x pipelines."""
    rows = []
    for task, known in steps.STEPS.items():
        for name, change in known.items():
            if isinstance(change, steps.Renamed):
                cells = [_code(change.name or name), _pairs(change.words), _values(change.defaults), _list(change.drop)]
            else:
                cells = [_code(_made_by(change, name)), 'computed', '', '']
            rows.append([task, _code(name), *cells])
    return table(['task', '1.x', 'here', 'arguments', 'set unless given', 'left out'], rows)


def datasets() -> str:
    """Data sets of 1.x."""
    rows = []
    for name, ours in {**data_sets.SAME_BUT_NAMES, **data_sets.POSE_NAMES}.items():
        by_mode = ours.items() if isinstance(ours, Mapping) else [('', ours)]
        rows += [[_code(name), mode, _code(each)] for mode, each in by_mode]
    return table(['1.x', '`data_mode`', 'here'], rows)


def loaders() -> str:
    """Arguments of 1.x loaders, and names of packages and layers."""
    rows = [['`*_dataloader`', _code(old), _code(ours)] for old, ours in data.LOADER.items() if old != ours]
    rows += [['`torch.nn`', _code(old), _code(ours)] for old, ours in names.OF_TORCH.items()]
    rows += [['package', _code(f'{package}.X'), f'`X` of {task or "all"}'] for package, task in names.SCOPES.items()]
    return table(['where', 'there', 'here'], rows)


def homonyms() -> str:
    """Components of one name that several tasks have, with the defaults in which they differ."""
    rows = []
    for registry, view in REGISTRIES.items():
        entries = [e for e in builtin_entries() if e.registry in view.root._views]
        for name, group in groupby(sorted(entries, key=lambda e: e.name), key=lambda e: e.name):
            tasks = sorted({e.task or '' for e in group})
            if len(tasks) > 1:
                rows.append([registry, _code(name), *_differing(view, name, tasks)])
    return table(['registry', 'name', 'tasks', 'defaults that differ'], rows)


def modules() -> str:
    """How many names each of the old packages' modules give."""
    rows = [[_code(package), str(len(places(package))), _list(sorted(places(package)))] for package in PACKAGES]
    return table(['package', 'names', 'beside every component, by its name'], rows)


def _differing(view: Any, name: str, tasks: list[str]) -> list[str]:
    found: dict[str, dict[str, str]] = {}
    for task in tasks:
        target = view.get(f'{task}.{name}' if task else name)
        for parameter in inspect.signature(target).parameters.values():
            if parameter.default is not parameter.empty:
                found.setdefault(parameter.name, {})[task or 'others'] = repr(parameter.default)
    differing = {k: v for k, v in found.items() if len(v) == len(tasks) and len(set(v.values())) > 1}
    texts = [f'`{arg}`: ' + ', '.join(f'`{v}` ({t})' for t, v in by.items()) for arg, by in differing.items()]
    return [', '.join(task or 'others' for task in tasks), '; '.join(texts).replace('|', '\\|')]


def _made_by(change: Any, name: str) -> str:
    try:
        return str(change({'type': name, 'scale': (1, 1), 'scales': [(1, 1)]})[0]['type'])
    except (KeyError, TypeError):
        return name


def _code(word: Any) -> str:
    return f'`{word}`'


def _pairs(words: Mapping[str, str]) -> str:
    return ', '.join(f'`{old}` is `{ours}`' for old, ours in words.items())


def _values(values: Mapping[str, Any]) -> str:
    return ', '.join(f'`{name}={value!r}`' for name, value in values.items())


def _list(words: Any) -> str:
    return ', '.join(_code(word) for word in sorted(words))


PARTS = {
    'transforms of 1.x': transforms, 'data sets of 1.x': datasets, 'words of 1.x': loaders, 'homonyms': homonyms,
    'old modules': modules,
}  # fmt: skip
