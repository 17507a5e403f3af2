"""Name -> module, found by reading source text.

Inside the package no ``__init__`` lists components. The decorators ``@REGISTRY.register_module(...)`` are
found with one pattern, so that naming, listing and checking components imports nothing.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parent.parent

_DECORATED = re.compile(
    r'^@([A-Z][A-Z_]*)\.register_module(?:\(([^\n]*)\))?[ \t]*\n(?=((?:@[^\n]*\n)*)(?:class|def)[ \t]+(\w+))', re.M
)
_CALLED = re.compile(r'^([A-Z][A-Z_]*)\.register_module\(([^\n]*\bmodule=([\w.]+)[^\n]*)\)[ \t]*$', re.M)


@dataclass(frozen=True)
class IndexEntry:
    """Where a built-in component lies.

    Attributes:
        registry: Name of the registry or view in the decorator, ``'BACKBONES'``.
        task: Folder below ``tasks/`` that holds the file, or None for shared components.
        name: Name under which configs know it.
        module: Dotted module to import.
        target: Name of the class or function in that module (dotted for ``nn.Conv2d``).
        file: Source file.
        line: Line of the decorator, from 1.
    """

    registry: str
    task: str | None
    name: str
    module: str
    target: str
    file: str
    line: int


def task_of_module(module: str) -> str | None:
    """``'classification'`` for ``intarsia.tasks.classification.heads.cls_head``, else None."""
    parts = module.split('.')
    return parts[2] if parts[:2] == ['intarsia', 'tasks'] and len(parts) > 2 else None


@functools.cache
def builtin_entries() -> tuple[IndexEntry, ...]:
    """Every component of the package, in file order."""
    entries: list[IndexEntry] = []
    for file in sorted(PACKAGE_DIR.rglob('*.py')):
        text = file.read_text(encoding='utf-8')
        if '.register_module' in text:
            entries.extend(_scan(file, text))
    return (*entries, *_torch_optimizers())


@functools.cache
def by_name() -> dict[str, tuple[IndexEntry, ...]]:
    """The same entries grouped by component name."""
    groups: dict[str, tuple[IndexEntry, ...]] = {}
    for entry in builtin_entries():
        groups[entry.name] = (*groups.get(entry.name, ()), entry)
    return groups


def _scan(file: Path, text: str) -> list[IndexEntry]:
    module = '.'.join(('intarsia', *file.relative_to(PACKAGE_DIR).with_suffix('').parts)).removesuffix('.__init__')
    task = task_of_module(module)
    found = []
    for match in _DECORATED.finditer(text):
        registry, arguments, _, target = match.groups()
        found.append((match.start(), registry, _names(arguments) or [target], target))
    for match in _CALLED.finditer(text):
        registry, arguments, target = match.groups()
        found.append((match.start(), registry, _names(arguments) or [target.rsplit('.', 1)[-1]], target))
    return [
        IndexEntry(registry, task, name, module, target, str(file), text.count('\n', 0, start) + 1)
        for start, registry, names, target in sorted(found)
        for name in names
    ]


def _names(arguments: str | None) -> list[str]:
    """Names given in the text between the decorator's brackets."""
    if not arguments:
        return []
    call = ast.parse(f'f({arguments})', mode='eval').body
    assert isinstance(call, ast.Call)
    given = [k.value for k in call.keywords if k.arg == 'name'] or call.args[:1]
    value = ast.literal_eval(given[0]) if given else None
    return [value] if isinstance(value, str) else list(value or ())


def package_dir(package: str) -> Path | None:
    """Folder of an installed top-level package, found without importing it."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _torch_optimizers() -> list[IndexEntry]:
    """Every public optimizer class of ``torch.optim``, read from its folder."""
    torch_dir = package_dir('torch')
    if torch_dir is None:
        return []
    init = (torch_dir / 'optim' / '__init__.py').read_text(encoding='utf-8')
    entries = []
    for match in re.finditer(r'^from torch\.optim\.(\w+) import (?:\w+ as )?([A-Z]\w*) as \2|'
                             r'^from torch\.optim\.(\w+) import ([A-Z]\w*)', init, re.M):  # fmt: skip
        stem, name = match.group(1) or match.group(3), match.group(2) or match.group(4)
        file = torch_dir / 'optim' / f'{stem}.py'
        if name == 'Optimizer' or not file.exists():
            continue
        text = file.read_text(encoding='utf-8')
        place = re.search(rf'^class {name}\b', text, re.M)
        if place:
            line = text.count('\n', 0, place.start()) + 1
            entries.append(IndexEntry('OPTIMIZERS', None, name, f'torch.optim.{stem}', name, str(file), line))
    return entries
