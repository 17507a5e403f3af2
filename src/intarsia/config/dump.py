"""Writing a config so that reading it gives the same values."""

from __future__ import annotations

import json
import keyword
from collections.abc import Mapping
from typing import Any

_WIDTH = 100


def dump_python(values: Mapping[str, Any]) -> str:
    """Python source that defines ``values``, one top-level name after the other, in their order."""
    return ''.join(f'{name} = {_python(value, len(name) + 3, 0)}\n' for name, value in values.items())


def _python(value: Any, used: int, indent: int) -> str:
    flat = _flat(value)
    if used + indent + len(flat) <= _WIDTH:
        return flat
    inner = ' ' * (indent + 4)
    if isinstance(value, Mapping) and value:
        named = _all_names(value)
        rows = [
            inner + (f'{k}=' if named else f'{k!r}: ') + _python(v, len(str(k)) + 4, indent + 4)
            for k, v in value.items()
        ]
        opening, closing = ('dict(', ')') if named else ('{', '}')
    elif isinstance(value, (list, tuple)) and value:
        rows = [inner + _python(v, 1, indent + 4) for v in value]
        opening, closing = '[]' if isinstance(value, list) else '()'
        if isinstance(value, tuple) and len(value) == 1:
            closing = ',)'
    else:
        return flat
    return opening + '\n' + ',\n'.join(rows) + '\n' + ' ' * indent + closing


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        if _all_names(value):
            return 'dict(' + ', '.join(f'{k}={_flat(v)}' for k, v in value.items()) + ')'
        return '{' + ', '.join(f'{k!r}: {_flat(v)}' for k, v in value.items()) + '}'
    if isinstance(value, list):
        return '[' + ', '.join(map(_flat, value)) + ']'
    if isinstance(value, tuple):
        return '(' + ', '.join(map(_flat, value)) + (',)' if len(value) == 1 else ')')
    if isinstance(value, float) and value in (float('inf'), float('-inf')):
        return f"float('{value}')"
    return repr(value)


def _all_names(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and k.isidentifier() and not keyword.iskeyword(k) for k in value)


def dump_json(values: Mapping[str, Any]) -> str:
    """JSON text; tuples are ``{"__tuple__": [...]}``, classes ``{"__obj__": "module.Name"}``."""
    return json.dumps(to_jsonable(values), indent=1, ensure_ascii=False)


def to_jsonable(value: Any) -> Any:
    """A tree of JSON types that keeps what JSON has no word for."""
    if isinstance(value, Mapping):
        return {k if isinstance(k, str) else f'__key__{k!r}': to_jsonable(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return {'__tuple__': [to_jsonable(v) for v in value]}
    if isinstance(value, list):
        return [to_jsonable(v) for v in value]
    if isinstance(value, float) and value in (float('inf'), float('-inf')):
        return {'__float__': str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if not isinstance(value, type) and not callable(value):
        return {'__repr__': f'{type(value).__name__}:{value!r}'}
    return {'__obj__': f'{getattr(value, "__module__", "")}.{getattr(value, "__qualname__", value)}'}
