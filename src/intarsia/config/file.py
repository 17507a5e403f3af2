"""Config files, ``.py``, ``.json`` or ``.yaml``: read with all they inherit into one dict, each value's origin."""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import types
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intarsia.config.inherit import merge, replaced_paths, without_delete
from intarsia.config.origins import Origin, Origins, origins_of_source
from intarsia.config.substitute import substitute_text
from intarsia.core.errors import ConfigError, Problem

RECIPES_DIR = Path(__file__).resolve().parent.parent / 'recipes'
RESERVED = frozenset({'filename', 'text', 'pretty_text', 'env_variables'})
_BASE_REFERENCE = re.compile(r'\{\{\s*_base_\.([\w.]+)\s*\}\}')


@dataclass
class ConfigFile:
    """A config as read, before anything is checked.

    Attributes:
        values: The merged top-level names.
        origins: Where each value was written.
        file: The file asked for; None for a dict.
        text: Source of all files that took part, bases first, each under a line with its name.
    """

    values: dict[str, Any]
    origins: Origins = field(default_factory=Origins)
    file: Path | None = None
    text: str = ''


def load_config(file: str | Path) -> ConfigFile:
    """Read a config file and all it inherits from.

    Args:
        file: ``.py``, ``.json``, ``.yaml`` or ``.yml``; ``intarsia::classification/NAME.py`` names a shipped recipe.

    Raises:
        ConfigError: The file or a base is missing, has a syntax error, or inherits what it cannot.
    """
    return _load(resolve_file(file), ())


def resolve_file(file: str | Path) -> Path:
    """The path of a config file; ``intarsia::PATH`` is a recipe of the package."""
    text = str(file)
    if text.startswith('intarsia::'):
        return RECIPES_DIR / text.removeprefix('intarsia::')
    return Path(file)


def _load(file: Path, chain: tuple[Path, ...]) -> ConfigFile:
    if not file.is_file():
        origin = f' (a base of {chain[-1]})' if chain else ''
        raise ConfigError(Problem('missing-config', f'the config file does not exist{origin}.', '', str(file)))
    if file.resolve() in [c.resolve() for c in chain]:
        circle = ' -> '.join(map(str, (*chain, file)))
        raise ConfigError(Problem('bad-inheritance', f'the file inherits from itself: {circle}.', '', str(file)))
    source = substitute_text(file.read_text(encoding='utf-8'), file.resolve())
    if file.suffix == '.py':
        reader: _PythonFile | _DataFile = _PythonFile(file, source)
    elif file.suffix in ('.json', '.yaml', '.yml'):
        reader = _DataFile(file, source)
    else:
        raise ConfigError(Problem('bad-config', f'{file.suffix!r} is not .py, .json, .yaml or .yml.', '', str(file)))
    bases = _load_bases(file, reader.bases(), (*chain, file))
    values = reader.values(bases)
    _refuse_reserved(values, file)
    _say_deprecated(values.pop('_deprecation_', None), file)
    merged = ConfigFile(merge(bases.values, values, reader.origins), bases.origins, file)
    merged.origins.merge_over(reader.origins, iter(replaced_paths(bases.values, values)))
    merged.text = f'{bases.text}# {file}\n{source}\n'
    return merged


def _load_bases(file: Path, names: str | Sequence[str], chain: tuple[Path, ...]) -> ConfigFile:
    together = ConfigFile({})
    for name in [names] if isinstance(names, str) else names:
        path = resolve_file(name) if '::' in name else Path(os.path.normpath(file.parent / name))
        base = _load(path, chain)
        twice = sorted(together.values.keys() & base.values.keys())
        if twice:
            message = f'{name} and an earlier base both define {", ".join(twice)}; bases may not repeat a name.'
            raise ConfigError(Problem('bad-inheritance', message, '_base_', str(file)))
        together.values.update(base.values)
        together.origins.merge_over(base.origins, iter(()))
        together.text += base.text
    return together


def _refuse_reserved(values: Mapping[str, Any], file: Path) -> None:
    for name in sorted(RESERVED & values.keys()):
        raise ConfigError(Problem('reserved-name', f"'{name}' is reserved for the config itself.", name, str(file)))


def _say_deprecated(note: Mapping[str, Any] | None, file: Path) -> None:
    if note:
        more = f' More: {note["reference"]}' if 'reference' in note else ''
        warnings.warn(f'{file} is deprecated; use {note.get("expected")}.{more}', DeprecationWarning, stacklevel=2)


class _PythonFile:
    """A ``.py`` config: its statements are run, its syntax tree tells what was written where."""

    def __init__(self, file: Path, source: str) -> None:
        self.file = file
        self.origins = Origins()
        try:
            self.tree = ast.parse(source, str(file))
        except SyntaxError as error:
            message = f'syntax error: {error.msg}: {(error.text or "").strip()}'
            raise ConfigError(Problem('syntax-error', message, '', str(file), error.lineno)) from None

    def bases(self) -> str | list[str]:
        """The value of ``_base_``, which is taken out of the tree."""
        for i, node in enumerate(self.tree.body):
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == '_base_' for t in node.targets):
                del self.tree.body[i]
                return eval(compile(ast.Expression(node.value), str(self.file), 'eval'), {})
        return []

    def values(self, bases: ConfigFile) -> dict[str, Any]:
        """Run the file and collect its names."""
        tree = ast.fix_missing_locations(_BaseReferences().visit(self.tree))
        self.origins = origins_of_source(tree, str(self.file), bases.origins)
        names: dict[str, Any] = {'__file__': str(self.file), '_base_': _attributes(copy.deepcopy(bases.values))}
        try:
            exec(compile(tree, str(self.file), 'exec'), names)
        except Exception as error:
            raise self._failed(error) from error
        del names['_base_']
        values = {k: _plain(v) for k, v in names.items() if not k.startswith('__') and not _is_code(v)}
        return fill_references(values, bases.values, self.file)

    def _failed(self, error: Exception) -> ConfigError:
        line, trace = None, error.__traceback__
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(self.file) else line
            trace = trace.tb_next
        return ConfigError(Problem('bad-config', f'{type(error).__name__}: {error}', '', str(self.file), line))


class _DataFile:
    """A ``.json`` or ``.yaml`` config."""

    def __init__(self, file: Path, source: str) -> None:
        import yaml

        self.file = file
        self.origins = Origins()
        try:
            quoted = _BASE_REFERENCE.sub(lambda m: m[0] if _in_quotes(source, m.start()) else f'"{m[0]}"', source)
            self.data = json.loads(quoted) if file.suffix == '.json' else yaml.safe_load(quoted) or {}
            self._note('', yaml.compose(quoted, Loader=yaml.SafeLoader))
        except (ValueError, yaml.YAMLError) as error:
            mark = getattr(error, 'problem_mark', None)
            line = getattr(error, 'lineno', None) or (mark.line + 1 if mark else None)
            text = getattr(error, 'problem', None) or getattr(error, 'msg', error)
            raise ConfigError(Problem('syntax-error', f'syntax error: {text}.', '', str(file), line)) from None
        if not isinstance(self.data, dict):
            raise ConfigError(Problem('bad-config', 'the file must hold a mapping of names to values.', '', str(file)))

    def _note(self, path: str, node: Any) -> None:
        if node is None:
            return
        if path:
            self.origins.set(path, Origin(str(self.file), node.start_mark.line + 1))
        if isinstance(node.value, list):
            for i, item in enumerate(node.value):
                key, value = item if isinstance(item, tuple) else (None, item)
                name = key.value if key is not None else i
                self._note(f'{path}.{name}' if path else str(name), value)

    def bases(self) -> str | list[str]:
        """The value of ``_base_``."""
        return self.data.pop('_base_', [])

    def values(self, bases: ConfigFile) -> dict[str, Any]:
        """The data with references to base values filled in."""
        return fill_references(self.data, bases.values, self.file)


class _BaseReferences(ast.NodeTransformer):
    """Turns ``{{_base_.a.b}}``, to Python a set in a set, into ``_base_.a.b``."""

    def visit_Set(self, node: ast.Set) -> ast.AST:
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
    whole = _BASE_REFERENCE.fullmatch(value)
    if whole:
        return copy.deepcopy(_base_value(whole[1], bases, file))
    return _BASE_REFERENCE.sub(lambda m: str(_base_value(m[1], bases, file)), value)


def _base_value(path: str, bases: Any, file: Path) -> Any:
    for part in path.split('.'):
        try:
            bases = bases[int(part) if isinstance(bases, (list, tuple)) else part]
        except (KeyError, IndexError, ValueError, TypeError):
            message = f"no base has '{path}' (asked for by {{{{_base_.{path}}}}})."
            raise ConfigError(Problem('bad-inheritance', message, '', str(file))) from None
    return bases


class Attributes(dict[str, Any]):
    """A dict whose items are attributes too, as ``_base_`` is within a config file."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no base has '{name}'") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def _attributes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Attributes((k, _attributes(v)) for k, v in value.items())
    return type(value)(map(_attributes, value)) if type(value) in (list, tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _is_code(value: Any) -> bool:
    return isinstance(value, (types.ModuleType, types.FunctionType, type))


def _in_quotes(source: str, position: int) -> bool:
    line_start = source.rfind('\n', 0, position) + 1
    return source.count('"', line_start, position) % 2 == 1 or source.count("'", line_start, position) % 2 == 1


def config_of(values: Mapping[str, Any]) -> ConfigFile:
    """A :class:`ConfigFile` of a dict made in Python."""
    return ConfigFile(without_delete(copy.deepcopy(dict(values))))
