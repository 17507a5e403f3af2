"""Config files in the lazy style: bases are imported in ``with read_base():``, types are the classes themselves.

``from torch.optim import AdamW`` imports nothing: ``AdamW`` becomes its dotted name, and ``dict(type=AdamW)`` is
``dict(type='torch.optim.AdamW')``. Only what a file calls is imported.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intarsia.config.attributes import attributes, is_code, plain
from intarsia.config.origins import Origins, origins_of_source
from intarsia.config.packages import module_file
from intarsia.core.errors import ConfigError, Problem


class ObjectName(str):
    """The dotted name of something that a config file imports; attributes of it are names too.

    Calling it imports it, and calls what it names.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> ObjectName:
        if name.startswith('__'):
            raise AttributeError(name)
        return type(self)(f'{self}.{name}')

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Import it and call it."""
        return self.resolve()(*args, **options)

    def __deepcopy__(self, memo: Any) -> ObjectName:
        return self

    def resolve(self) -> Any:
        """What it names.

        Raises:
            ImportError: There is no such module, or it has no such attribute.
        """
        module = str(self)
        rest: list[str] = []
        while module:
            try:
                found = importlib.import_module(module)
            except ModuleNotFoundError as error:
                if not error.name or not f'{module}.'.startswith(f'{error.name}.'):
                    raise
                module, _, last = module.rpartition('.')
                rest.insert(0, last)
                continue
            for name in rest:
                if not hasattr(found, name):
                    raise ImportError(f'{found.__name__ if hasattr(found, "__name__") else found} has no {name}')
                found = getattr(found, name)
            return found
        raise ImportError(f"there is no module '{rest[0]}'")


class InertName(ObjectName):
    """A name that imports nothing, of a file that is not trusted."""

    __slots__ = ()

    def resolve(self) -> Any:
        """Refuse."""
        raise PermissionError(f'{self} is called: not in a config that is read as data')


def is_lazy(tree: ast.Module) -> bool:
    """Whether a file is in the lazy style: it reads bases by importing them, or uses what it imports as types."""
    imported: set[str] = set()
    types: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.With):
            return any(_is_read_base(item.context_expr) for item in node.items)
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == '_base_' for t in node.targets):
            return False
        if isinstance(node, ast.ImportFrom) and node.level:
            return True
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not _is_standard(node):
            imported |= {(alias.asname or alias.name).split('.')[0] for alias in node.names}
        if isinstance(node, ast.keyword) and node.arg == 'type':
            types |= {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
    return bool(imported & types)


def _is_read_base(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'read_base'


def _is_standard(node: ast.Import | ast.ImportFrom) -> bool:
    names = [node.module or ''] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    level = node.level if isinstance(node, ast.ImportFrom) else 0
    return not level and all(name.split('.')[0] in sys.stdlib_module_names for name in names)


@dataclass
class LazyFile:
    """What a file of the lazy style says.

    Attributes:
        values: Its names, with those of its bases.
        origins: Where each was written.
        imported: Names that stand for something imported, which are no values.
        text: Source of the bases.
    """

    values: dict[str, Any]
    origins: Origins
    imported: set[str] = field(default_factory=set)
    text: str = ''

    def without_imports(self) -> dict[str, Any]:
        """The values alone."""
        return {name: value for name, value in self.values.items() if name not in self.imported}


class LazyReader:
    """Reads one file of the lazy style.

    Args:
        file: The file.
        tree: Its syntax tree, which is changed.
        read_base: Reads another file of this style.
        name: What stands for something imported.
    """

    def __init__(
        self,
        file: Path,
        tree: ast.Module,
        read_base: Callable[[Path], LazyFile],
        name: type[ObjectName] = ObjectName,
    ) -> None:
        self.file, self.tree, self.read_base, self.name = file, tree, read_base, name
        self.found = LazyFile({}, Origins())

    def read(self, run: Callable[[ast.Module, dict[str, Any]], None]) -> LazyFile:
        """Run the file.

        Args:
            run: Executes the tree in a dict of names.

        Raises:
            ConfigError: A base is missing, or a statement fails.
        """
        self.tree.body = [each for node in self.tree.body for each in self._statement(node)]
        own = origins_of_source(self.tree, str(self.file), self.found.origins)
        names = {'__file__': str(self.file), **attributes(self.found.values)}
        run(ast.fix_missing_locations(self.tree), names)
        self.found.values = {k: plain(v) for k, v in names.items() if not k.startswith('__') and not is_code(v)}
        self.found.origins.merge_over(own, iter(_assigned(self.tree)))
        return self.found

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        """What stands in the place of a statement when bases are read and imports are names."""
        if isinstance(node, ast.With) and any(_is_read_base(item.context_expr) for item in node.items):
            for each in node.body:
                self._take_base(each)
            return []
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self.found.imported |= {(alias.asname or alias.name).split('.')[0] for alias in node.names}
            if _is_standard(node):
                return [node]
            self.found.values |= self._names(node)
            return []
        return [node]

    def _names(self, node: ast.Import | ast.ImportFrom) -> dict[str, ObjectName]:
        if isinstance(node, ast.ImportFrom):
            return {each.asname or each.name: self.name(f'{node.module}.{each.name}') for each in node.names}
        tops = {each: each.name.split('.')[0] for each in node.names}
        return {each.asname or top: self.name(each.name if each.asname else top) for each, top in tops.items()}

    def _take_base(self, node: ast.stmt) -> None:
        if not isinstance(node, ast.ImportFrom):
            message = 'with read_base(): may hold only from MODULE import NAMES.'
            raise ConfigError(Problem('bad-inheritance', message, '', str(self.file), node.lineno))
        module = f'{"." * node.level}{node.module or ""}'
        try:
            path = module_file(module, self.file)
        except ConfigError as error:
            problem = error.problems[0]
            raise ConfigError(Problem(problem.code, problem.message, '', str(self.file), node.lineno)) from None
        base = self.read_base(path)
        self.found.imported |= base.imported
        self.found.text += base.text
        for alias in node.names:
            if alias.name == '*':
                self.found.values |= base.values
                self.found.origins.merge_over(base.origins, iter(base.values))
            elif alias.name in base.values:
                name = alias.asname or alias.name
                self.found.values[name] = base.values[alias.name]
                self.found.origins.forget(name)
                self.found.origins.graft(name, base.origins, alias.name)
            else:
                message = f"{path} has no '{alias.name}'."
                raise ConfigError(Problem('bad-inheritance', message, '', str(self.file), node.lineno))


def _assigned(tree: ast.Module) -> list[str]:
    """Top-level names that a file gives a new value."""
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return [target.id for target in targets if isinstance(target, ast.Name)]
