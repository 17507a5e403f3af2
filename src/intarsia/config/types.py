"""Checking a value against the text of an annotation, for the simple types config files are made of."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from typing import Any

_SEQUENCES = frozenset({'Sequence', 'list', 'List', 'tuple', 'Tuple', 'Iterable', 'Collection'})
_MAPPINGS = frozenset({'Mapping', 'dict', 'Dict', 'MutableMapping'})


@functools.lru_cache(maxsize=2048)
def _parsed(annotation: str) -> ast.expr | None:
    try:
        return ast.parse(annotation, mode='eval').body
    except SyntaxError:
        return None


def fits(value: Any, annotation: str | None) -> bool:
    """Whether ``value`` may be given where ``annotation`` is written; True wherever that cannot be told.

    Understands numbers, bools, strings, None, ``Literal``, unions, sequences and mappings. A list may be given for
    a tuple and an int for a float.
    """
    node = _parsed(annotation) if annotation else None
    return node is None or _fits(value, node)


def _fits(value: Any, node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _fits(value, node.left) or _fits(value, node.right)
    if isinstance(node, ast.Constant):
        return value is None if node.value is None else True
    if isinstance(node, ast.Subscript):
        return _fits_generic(value, _name(node.value), node.slice)
    return _fits_name(value, _name(node))


def _fits_name(value: Any, name: str) -> bool:
    checks = {
        'int': lambda: isinstance(value, int) and not isinstance(value, bool),
        'float': lambda: isinstance(value, (int, float)) and not isinstance(value, bool),
        'bool': lambda: isinstance(value, bool),
        'str': lambda: isinstance(value, str),
    }
    if name in checks:
        return checks[name]()
    if name in _SEQUENCES:
        return isinstance(value, (list, tuple, range))
    return isinstance(value, Mapping) if name in _MAPPINGS else True


def _fits_generic(value: Any, name: str, inner: ast.expr) -> bool:
    items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == 'Literal':
        return any(isinstance(i, ast.Constant) and _same_literal(value, i.value) for i in items)
    if name == 'Optional':
        return value is None or _fits(value, inner)
    if name == 'Union':
        return any(_fits(value, i) for i in items)
    if name in _MAPPINGS:
        return isinstance(value, Mapping)
    if name not in _SEQUENCES:
        return True
    if not isinstance(value, (list, tuple, range)):
        return False
    if name in ('tuple', 'Tuple') and not (len(items) == 2 and _is_ellipsis(items[1])):
        return len(value) == len(items) and all(_fits(v, i) for v, i in zip(value, items, strict=True))
    return all(_fits(v, items[0]) for v in value)


def _same_literal(value: Any, literal: Any) -> bool:
    return type(value) is type(literal) and value == literal


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ''


def literals(annotation: str | None) -> list[str]:
    """The strings that an annotation lists as the only ones allowed."""
    node = _parsed(annotation) if annotation else None
    if node is None:
        return []
    return [
        c.value
        for s in ast.walk(node)
        if isinstance(s, ast.Subscript) and _name(s.value) == 'Literal'
        for c in ast.walk(s.slice)
        if isinstance(c, ast.Constant) and isinstance(c.value, str)
    ]
