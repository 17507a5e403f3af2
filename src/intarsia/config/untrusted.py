"""Reading config files of strangers: as data, without running their code.

Literals, arithmetic, names, comprehensions, loops, f-strings, inheritance and a few harmless functions are let through;
imports, other calls, definitions and hidden attributes are refused before anything runs. What is left can neither reach
a file nor a function that is not listed here; it can still take time and memory.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from intarsia.config.file import ConfigFile

SAFE_BUILTINS: dict[str, Any] = {
    each.__name__: each
    for each in (abs, all, any, bool, dict, enumerate, float, int, len, list, max, min, range, reversed, round, set,
                 sorted, str, sum, tuple, zip)
}  # fmt: skip
"""Functions that a config of a stranger may call."""

SAFE_METHODS = frozenset(
    {'append', 'copy', 'extend', 'get', 'insert', 'items', 'keys', 'merge', 'pop', 'update', 'values'}
)
"""Methods of lists and dicts that it may call."""

MAX_POWER = 64
"""The largest exponent."""

_ALLOWED = (
    ast.Module, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.For, ast.If, ast.Delete, ast.Pass, ast.Assert,
    ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.JoinedStr, ast.FormattedValue,
    ast.Tuple, ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp,
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.comprehension,
    ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


def refuse_code(tree: ast.AST, file: Path) -> None:
    """Refuse a config file that does more than hold data.

    Args:
        tree: Its syntax tree.
        file: The file.

    Raises:
        ConfigError: Everything that is refused, with its line.
    """
    problems = [
        Problem('untrusted-code', f'{message}: not in a config that is read as data.', '', str(file), line)
        for message, line in _refused(tree)
    ]
    if problems:
        raise ConfigError(problems)


def refuse_imports(config: ConfigFile) -> None:
    """Refuse a config that asks for modules of its own.

    Raises:
        ConfigError: It has ``custom_imports``.
    """
    if config.values.get('custom_imports'):
        place = config.origins.find('custom_imports') or (None, None)
        message = 'it imports modules: not in a config that is read as data.'
        raise ConfigError(Problem('untrusted-code', message, 'custom_imports', *place))


def _refused(tree: ast.AST) -> Iterator[tuple[str, int | None]]:
    for node in ast.walk(tree):
        message = _reason(node)
        if message:
            yield message, getattr(node, 'lineno', None)


def _reason(node: ast.AST) -> str | None:
    """Why a node is refused, or None."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return f'it imports {", ".join(alias.name for alias in node.names)}'
    if not isinstance(node, _ALLOWED):
        return f'a {type(node).__name__} stands here'
    if isinstance(node, ast.Attribute) and node.attr.startswith('_'):
        return f'the hidden attribute {node.attr}'
    if isinstance(node, ast.Name) and node.id.startswith('__') and node.id != '__file__':
        return f'the hidden name {node.id}'
    if isinstance(node, ast.Call):
        return _reason_of_call(node.func)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = node.right.value if isinstance(node.right, ast.Constant) else None
        return None if isinstance(power, (int, float)) and power <= MAX_POWER else 'a power of a number nobody knows'
    return None


def _reason_of_call(function: ast.expr) -> str | None:
    if isinstance(function, ast.Name):
        return None if function.id in SAFE_BUILTINS else f'it calls {function.id}()'
    if isinstance(function, ast.Attribute):
        return None if function.attr in SAFE_METHODS else f'it calls .{function.attr}()'
    return 'it calls the result of an expression'
