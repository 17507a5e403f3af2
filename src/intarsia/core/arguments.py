"""Which arguments a component accepts: from the imported class, or from its source text.

Both readings follow ``**kwargs`` up the bases, so that a misspelt argument is found even where a constructor
forwards what it does not name. The static one imports nothing; a test requires that both agree.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intarsia.core.index import package_dir


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor or function.

    Attributes:
        name: Its name.
        required: Whether it has no default.
        annotation: Its annotation as source text, or None.
    """

    name: str
    required: bool
    annotation: str | None = None


@dataclass(frozen=True)
class Signature:
    """All arguments that can be given by name.

    Attributes:
        arguments: By name, own ones first.
        is_open: Any further name is accepted, or what is accepted cannot be known.
        declared: Class attributes with literal values (``out_channels = 512``), for checks across components.
    """

    arguments: dict[str, Argument] = field(default_factory=dict)
    is_open: bool = False
    declared: dict[str, Any] = field(default_factory=dict)


OPEN = Signature(is_open=True)
_ROOTS = frozenset({'object', 'Module', 'ABC', 'Generic', 'Protocol', 'Function'})


# ---------------------------------------------------------------------- imported objects


@functools.lru_cache(maxsize=1024)
def signature_of(target: Any) -> Signature:
    """The arguments of an imported class or function."""
    if not inspect.isclass(target):
        parameters, is_open = _own_parameters(target)
        return Signature(parameters, is_open)
    accepted: dict[str, Argument] = {}
    for base in target.__mro__:
        init = base.__dict__.get('__init__')
        if init is None:
            continue
        if base.__name__ in _ROOTS:
            return Signature(accepted)
        try:
            parameters, forwards = _own_parameters(init, skip_first=True)
        except ValueError:
            return Signature(accepted, is_open=True)
        accepted = {**accepted, **{k: v for k, v in parameters.items() if k not in accepted}}
        if not forwards:
            return Signature(accepted)
        if base.__module__.partition('.')[0] not in ('intarsia', 'torch') and not _hands_on(init):
            return Signature(accepted, is_open=True)
    return Signature(accepted)


def _hands_on(init: Any) -> bool:
    """Whether a constructor calls another one with its ``**kwargs``; yes if its source is not there."""
    try:
        node = ast.parse(textwrap.dedent(inspect.getsource(init))).body[0]
    except (OSError, TypeError, SyntaxError):
        return True
    kwarg = node.args.kwarg if isinstance(node, ast.FunctionDef) else None
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
    inits = [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == '__init__']
    given = [k.value.id for c in inits for k in c.keywords if k.arg is None and isinstance(k.value, ast.Name)]
    return kwarg is None or kwarg.arg in given


def _own_parameters(function: Any, skip_first: bool = False) -> tuple[dict[str, Argument], bool]:
    found: dict[str, Argument] = {}
    is_open = False
    for parameter in list(inspect.signature(function).parameters.values())[skip_first:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            is_open = True
        elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            text = parameter.annotation if isinstance(parameter.annotation, str) else None
            found[parameter.name] = Argument(parameter.name, parameter.default is parameter.empty, text)
    return found, is_open


# ---------------------------------------------------------------------- source text


@functools.lru_cache(maxsize=4096)
def static_signature(module: str, target: str) -> Signature:
    """The arguments of a class or function, read from the source of ``module`` without importing it.

    Args:
        module: Dotted name of the module.
        target: Name in that module, dotted if it is an attribute of an import (``nn.Conv2d``).

    Returns:
        The signature; open if the source cannot be followed to its end.
    """
    node, home = find_definition(module, target)
    if node is None:
        return OPEN
    if not isinstance(node, ast.ClassDef):
        parameters, is_open = _parameters_of(node, skip_first=False)
        return Signature(parameters, is_open)
    accepted: dict[str, Argument] = {}
    declared: dict[str, Any] = {}
    for base, _ in _linearize(node, home):
        if base is None:
            return Signature(accepted, is_open=True, declared=declared)
        if base.name in _ROOTS:
            break
        declared = {**_literal_attributes(base), **declared}
        init = _init_of(base)
        if init is not None:
            parameters, forwards = _parameters_of(init, skip_first=True)
            accepted = {**accepted, **{k: v for k, v in parameters.items() if k not in accepted}}
            if not forwards:
                break
    return Signature(accepted, declared=declared)


def _linearize(node: ast.ClassDef, home: str) -> list[tuple[ast.ClassDef | None, str]]:
    """The class and its bases, in Python's own order (C3); None for a base that cannot be followed."""
    tails: list[list[tuple[ast.ClassDef | None, str]]] = []
    for base in node.bases:
        name = ast.unparse(base).split('[', 1)[0]
        if name.rsplit('.', 1)[-1] in _ROOTS:
            continue
        found, where = find_definition(home, name)
        tails.append(_linearize(found, where) if isinstance(found, ast.ClassDef) else [(None, name)])
    return [(node, home), *_merge([*tails, [tail[0] for tail in tails]])]


def _merge(sequences: list[list[tuple[ast.ClassDef | None, str]]]) -> list[tuple[ast.ClassDef | None, str]]:
    merged = []
    while any(sequences):
        sequences = [s for s in sequences if s]
        head = next((s[0] for s in sequences if not any(s[0] in t[1:] for t in sequences)), sequences[0][0])
        merged.append(head)
        sequences = [[x for x in s if x != head] for s in sequences]
    return merged


def find_definition(
    module: str, name: str, _seen: frozenset[str] = frozenset()
) -> tuple[ast.ClassDef | ast.FunctionDef | None, str]:
    """The node that defines ``name`` as seen in ``module``, following imports, and the module it is in."""
    tree = _parsed(module)
    if tree is None or module in _seen:
        return None, module
    definitions, imports, stars = tree
    if name in definitions:
        return definitions[name], module
    seen = _seen | {module}
    head, _, rest = name.partition('.')
    if head in imports:
        source, original = imports[head]
        if rest:
            return find_definition(f'{source}.{original}' if original else source, rest, seen)
        if original:
            return find_definition(source, original, seen)
    for source in stars:
        node, home = find_definition(source, name, seen)
        if node is not None:
            return node, home
    return None, module


_Parsed = tuple[dict[str, ast.ClassDef | ast.FunctionDef], dict[str, tuple[str, str | None]], list[str]]


@functools.lru_cache(maxsize=1024)
def _parsed(module: str) -> _Parsed | None:
    file = _source_file(module)
    if file is None:
        return None
    tree = ast.parse(file.read_text(encoding='utf-8'))
    definitions: dict[str, ast.ClassDef | ast.FunctionDef] = {}
    imports: dict[str, tuple[str, str | None]] = {}
    stars: list[str] = []
    package = module if file.name == '__init__.py' else module.rpartition('.')[0]
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            definitions[node.name] = node
        elif isinstance(node, ast.Import):
            for alias in node.names:
                imports[alias.asname or alias.name.split('.')[0]] = (alias.name if alias.asname else
                                                                     alias.name.split('.')[0], None)  # fmt: skip
        elif isinstance(node, ast.ImportFrom):
            parts = package.split('.')
            base = '.'.join(parts[: len(parts) - node.level + 1]) if node.level else ''
            source = '.'.join(filter(None, (base, node.module)))
            for alias in node.names:
                if alias.name == '*':
                    stars.append(source)
                else:
                    imports[alias.asname or alias.name] = (source, alias.name)
    return definitions, imports, stars


@functools.lru_cache(maxsize=4096)
def _source_file(module: str) -> Path | None:
    """Source of a module, found without importing any part of it but its top package's spec."""
    top, *rest = module.split('.')
    base = package_dir(top)
    if base is None:
        return None
    if not rest:
        spec = importlib.util.find_spec(top)
        return Path(spec.origin) if spec and spec.origin and spec.origin.endswith('.py') else None
    path = base.joinpath(*rest)
    for candidate in (path.with_suffix('.py'), path / '__init__.py'):
        if candidate.exists():
            return candidate
    return None


def _init_of(node: ast.ClassDef) -> ast.FunctionDef | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == '__init__':
            return item
    return _dataclass_init(node)


def _dataclass_init(node: ast.ClassDef) -> ast.FunctionDef | None:
    """The constructor that ``@dataclass`` writes, as if it stood in the source."""
    if not any('dataclass' in ast.unparse(d) for d in node.decorator_list):
        return None
    fields = [f for f in node.body if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)]
    signature = ', '.join(
        f'{ast.unparse(f.target)}: {ast.unparse(f.annotation)}' + (' = None' if f.value is not None else '')
        for f in fields
    )
    built = ast.parse(f'def __init__(self, *, {signature}): ...' if fields else 'def __init__(self): ...').body[0]
    assert isinstance(built, ast.FunctionDef)
    return built


def _parameters_of(node: ast.FunctionDef, skip_first: bool) -> tuple[dict[str, Argument], bool]:
    a = node.args
    positional = [*a.posonlyargs, *a.args]
    required = len(positional) - len(a.defaults)
    pairs = [(arg, i < required) for i, arg in enumerate(positional)][skip_first:]
    pairs += [(arg, default is None) for arg, default in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    found = {
        arg.arg: Argument(arg.arg, needed, ast.unparse(arg.annotation) if arg.annotation else None)
        for arg, needed in pairs
    }
    return found, a.kwarg is not None


def _literal_attributes(node: ast.ClassDef) -> dict[str, Any]:
    found = {}
    for item in node.body:
        target = item.targets[0] if isinstance(item, ast.Assign) else getattr(item, 'target', None)
        value = getattr(item, 'value', None)
        if isinstance(target, ast.Name) and value is not None:
            try:
                found[target.id] = ast.literal_eval(value)
            except ValueError:
                continue
    return found
