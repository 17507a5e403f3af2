"""Where every value of a config was written: key path -> file and line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple


class Origin(NamedTuple):
    """A place in a config file.

    Attributes:
        file: The file, or ``--cfg-options``.
        line: Line from 1; None where there are no lines.
    """

    file: str
    line: int | None


class Origins:
    """Origins by key path; a path without one of its own has that of the nearest path above it."""

    def __init__(self) -> None:
        self._by_path: dict[str, Origin] = {}

    def set(self, path: str, origin: Origin) -> None:
        """Note that the value at ``path``, with all below it, was written at ``origin``."""
        self._by_path[path] = origin

    def find(self, path: str) -> Origin | None:
        """The origin of the value at ``path``."""
        while path:
            if path in self._by_path:
                return self._by_path[path]
            path = path.rpartition('.')[0]
        return None

    def below(self, path: str) -> Iterator[tuple[str, Origin]]:
        """All noted origins at and below ``path``, with the rest of their paths (empty for itself)."""
        prefix = f'{path}.'
        for known, origin in list(self._by_path.items()):
            if known == path:
                yield '', origin
            elif known.startswith(prefix):
                yield known[len(prefix) :], origin

    def forget(self, path: str) -> None:
        """Drop what is known at and below ``path``."""
        prefix = f'{path}.'
        self._by_path = {p: o for p, o in self._by_path.items() if p != path and not p.startswith(prefix)}

    def graft(self, path: str, other: Origins, source: str) -> None:
        """Copy what ``other`` knows at and below ``source`` to ``path``."""
        for rest, origin in other.below(source):
            self._by_path.setdefault(f'{path}.{rest}' if rest else path, origin)

    def merge_over(self, child: Origins, replaced: Iterator[str]) -> None:
        """Lay a child file's origins over these; paths in ``replaced`` keep nothing of what was here."""
        for path in replaced:
            self.forget(path)
        self._by_path.update(child._by_path)


def origins_of_source(tree: ast.Module, file: str, base: Origins | None = None) -> Origins:
    """Read from the syntax tree of a config file where each of its values stands.

    Args:
        tree: The parsed file.
        file: Its name.
        base: Origins of the files it inherits from, for values it takes from ``_base_``.
    """
    reader = _SourceReader(file, base or Origins())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            reader.assignment(node)
    return reader.origins


class _SourceReader:
    def __init__(self, file: str, base: Origins) -> None:
        self.file = file
        self.base = base
        self.origins = Origins()

    def assignment(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            path = _path_of(target)
            if path and node.value is not None:
                self.note(path, node.value, node.lineno)

    def note(self, path: str, node: ast.expr, line: int | None = None) -> None:
        self.origins.set(path, Origin(self.file, line or node.lineno))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
            for keyword in node.keywords:
                self._member(path, keyword.arg, keyword.value, keyword.lineno)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                name = key.value if isinstance(key, ast.Constant) else None
                if key is None or name is not None:
                    self._member(path, None if key is None else str(name), value, (key or value).lineno)
        elif isinstance(node, (ast.List, ast.Tuple)):
            for i, item in enumerate(node.elts):
                if isinstance(item, ast.Starred):
                    break
                self.note(f'{path}.{i}', item)
        elif isinstance(node, (ast.Name, ast.Attribute)):
            self._reference(path, node)

    def _member(self, path: str, name: str | None, value: ast.expr, line: int) -> None:
        """One entry of a dict; ``**other`` (no name) brings its own origins."""
        if name is None:
            self._reference(path, value)
        else:
            self.note(f'{path}.{name}', value, line)

    def _reference(self, path: str, node: ast.expr) -> None:
        source = _path_of(node)
        if source and source.startswith('_base_.'):
            self.origins.graft(path, self.base, source.removeprefix('_base_.'))
        elif source:
            self.origins.graft(path, self.origins, source)


def _path_of(node: ast.expr) -> str | None:
    """``'a.b.0'`` for ``a['b'][0]`` or ``a.b[0]``; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = _path_of(node.value)
        return f'{head}.{node.attr}' if head else None
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        head = _path_of(node.value)
        return f'{head}.{node.slice.value!s}' if head else None
    return None
