"""References of config files to values of their bases: ``{{_base_.a.b}}``."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intarsia.core.errors import ConfigError, Problem

BASE_REFERENCE = re.compile(r'\{\{\s*_base_\.([\w.]+)\s*\}\}')


class BaseReferences(ast.NodeTransformer):
    """Turns ``{{_base_.a.b}}``, to Python a set in a set, into ``_base_.a.b``."""

    def visit_Set(self, node: ast.Set) -> ast.AST:
        """The reference, if it is one."""
        inner = node.elts[0]
        if len(node.elts) == 1 and isinstance(inner, ast.Set) and len(inner.elts) == 1:
            root = value = inner.elts[0]
            while isinstance(root, (ast.Attribute, ast.Subscript)):
                root = root.value
            if isinstance(root, ast.Name) and root.id == '_base_':
                return value
        return self.generic_visit(node)


def fill_references(value: Any, bases: Mapping[str, Any], file: Path) -> Any:
    """Replace ``'{{_base_.a.b}}'`` in strings: whole strings by the value, parts by its text."""
    if isinstance(value, Mapping):
        return {k: fill_references(v, bases, file) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(fill_references(v, bases, file) for v in value)
    if not isinstance(value, str) or '_base_.' not in value:
        return value
    whole = BASE_REFERENCE.fullmatch(value)
    if whole:
        return copy.deepcopy(_base_value(whole[1], bases, file))
    return BASE_REFERENCE.sub(lambda m: str(_base_value(m[1], bases, file)), value)


def _base_value(path: str, bases: Any, file: Path) -> Any:
    for part in path.split('.'):
        try:
            bases = bases[int(part) if isinstance(bases, (list, tuple)) else part]
        except (KeyError, IndexError, ValueError, TypeError):
            message = f"no base has '{path}' (asked for by {{{{_base_.{path}}}}})."
            raise ConfigError(Problem('bad-inheritance', message, '', str(file))) from None
    return bases
