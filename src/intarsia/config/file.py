"""Config files, ``.py``, ``.json`` or ``.yaml``: read with all they inherit into one dict, each value's origin."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intarsia.config.data_file import DataFile
from intarsia.config.inherit import merge, replaced_paths, without_delete
from intarsia.config.lazy import InertName, LazyFile, LazyReader, ObjectName, is_lazy
from intarsia.config.origins import Origins
from intarsia.config.packages import package_config
from intarsia.config.python_file import PythonFile, parse
from intarsia.config.substitute import substitute_text
from intarsia.core.errors import ConfigError, Problem, closest

RESERVED = frozenset({'filename', 'text', 'pretty_text', 'env_variables'})


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


def load_config(file: str | Path, *, raw: bool = False, trusted: bool = True) -> ConfigFile:
    """Read a config file and all it inherits from.

    Args:
        file: ``.py``, ``.json``, ``.yaml`` or ``.yml``; ``intarsia::classification/NAME.py`` names a shipped recipe.
        raw: Keep each ``_delete_`` that had nothing to delete, as the older readers did.
        trusted: Whether the file may run code; see :mod:`intarsia.config.untrusted`.

    Raises:
        ConfigError: The file or a base is missing, has a syntax error, inherits what it cannot, or is not trusted and
            does more than hold data.
    """
    found = _Loader(trusted).load(resolve_file(file), ())
    if not raw:
        found.values = without_delete(found.values)
    return found


def resolve_file(file: str | Path, near: Path | None = None) -> Path:
    """The path of a config file; ``PACKAGE::PATH`` is one of a package, ``intarsia::PATH`` a shipped recipe.

    Args:
        file: As it was written.
        near: The config file where it was written, which it is relative to.
    """
    package, colons, path = str(file).partition('::')
    if colons:
        return package_config(package, path, near)
    return Path(file) if near is None else Path(os.path.normpath(near.parent / file))


class _Loader:
    """Reads files with their bases."""

    def __init__(self, trusted: bool) -> None:
        self.trusted = trusted

    def load(self, file: Path, chain: tuple[Path, ...]) -> ConfigFile:
        """A file and all it inherits from; ``chain`` are the files that ask for it."""
        source = self._source(file, chain)
        if file.suffix == '.py':
            tree = parse(file, source)
            if is_lazy(tree):
                lazy = self._lazy(file, tree, source, (*chain, file))
                return ConfigFile(lazy.without_imports(), lazy.origins, file, lazy.text)
            reader: PythonFile | DataFile = PythonFile(file, tree, self.trusted)
        elif file.suffix in ('.json', '.yaml', '.yml'):
            reader = DataFile(file, source)
        else:
            raise ConfigError(
                Problem('bad-config', f'{file.suffix!r} is not .py, .json, .yaml or .yml.', '', str(file))
            )
        bases = self._bases(file, reader.bases(), (*chain, file))
        values = reader.values(bases.values, bases.origins)
        _refuse_reserved(values, file)
        _say_deprecated(values.pop('_deprecation_', None), file)
        merged = ConfigFile(merge(bases.values, values, reader.origins), bases.origins, file)
        merged.origins.merge_over(reader.origins, iter(replaced_paths(bases.values, values)))
        merged.text = f'{bases.text}# {file}\n{source}\n'
        return merged

    def _source(self, file: Path, chain: tuple[Path, ...]) -> str:
        if not file.is_file():
            origin = f' (a base of {chain[-1]})' if chain else ''
            siblings = [each.name for each in file.parent.glob(f'*{file.suffix}')]
            meant = closest(file.name, siblings)
            message = f'the config file does not exist{origin}.'
            raise ConfigError(Problem('missing-config', message, '', str(file), suggestion=meant))
        if file.resolve() in [c.resolve() for c in chain]:
            circle = ' -> '.join(map(str, (*chain, file)))
            raise ConfigError(Problem('bad-inheritance', f'the file inherits from itself: {circle}.', '', str(file)))
        return substitute_text(file.read_text(encoding='utf-8'), file.resolve())

    def _bases(self, file: Path, names: str | Sequence[str], chain: tuple[Path, ...]) -> ConfigFile:
        together = ConfigFile({})
        for name in [names] if isinstance(names, str) else names:
            base = self.load(resolve_file(name, file), chain)
            twice = sorted(together.values.keys() & base.values.keys())
            if twice:
                message = f'{name} and an earlier base both define {", ".join(twice)}; bases may not repeat a name.'
                raise ConfigError(Problem('bad-inheritance', message, '_base_', str(file)))
            package, colons, _ = name.partition('::')
            together.values.update(_scoped(base.values, package) if colons and package != 'intarsia' else base.values)
            together.origins.merge_over(base.origins, iter(()))
            together.text += base.text
        return together

    def _lazy(self, file: Path, tree: Any, source: str, chain: tuple[Path, ...]) -> LazyFile:
        def read_base(path: Path) -> LazyFile:
            text = self._source(path, chain)
            return self._lazy(path, parse(path, text), text, (*chain, path))

        reader = LazyReader(file, tree, read_base, ObjectName if self.trusted else InertName)
        found = reader.read(PythonFile(file, tree, self.trusted).run)
        _refuse_reserved(found.values, file)
        found.text += f'# {file}\n{source}\n'
        return found


def _scoped(value: Any, package: str) -> Any:
    """Values of another package's config: each outermost dict with a type says whose type that is."""
    if isinstance(value, Mapping):
        if 'type' in value:
            return {**value, '_scope_': value.get('_scope_', package)}
        return {key: _scoped(each, package) for key, each in value.items()}
    return type(value)(_scoped(each, package) for each in value) if type(value) in (list, tuple) else value


def _refuse_reserved(values: Mapping[str, Any], file: Path) -> None:
    for name in sorted(RESERVED & values.keys()):
        raise ConfigError(Problem('reserved-name', f"'{name}' is reserved for the config itself.", name, str(file)))


def _say_deprecated(note: Mapping[str, Any] | None, file: Path) -> None:
    if note:
        more = f' More: {note["reference"]}' if 'reference' in note else ''
        warnings.warn(f'{file} is deprecated; use {note.get("expected")}.{more}', DeprecationWarning, stacklevel=2)


def config_of(values: Mapping[str, Any]) -> ConfigFile:
    """A :class:`ConfigFile` of a dict made in Python."""
    return ConfigFile(without_delete(copy.deepcopy(dict(values))))
