"""``Config`` and ``ConfigDict`` of MMCV and MMEngine: changeable configs over our own reader."""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from intarsia.config.attributes import plain
from intarsia.config.check import import_custom_modules as import_modules
from intarsia.config.dump import dump_python
from intarsia.config.file import RESERVED, ConfigFile, load_config
from intarsia.config.inherit import DELETE, merge
from intarsia.config.origins import Origin
from intarsia.config.override import parse_option, set_value
from intarsia.core.errors import ConfigError, Problem, closest
from intarsia.openmmlab.errors import also

FORMATS = ('.py', '.json', '.yaml', '.yml')

OLD_ERRORS: dict[str, type[Exception]] = {
    'missing-config': FileNotFoundError,
    'syntax-error': SyntaxError,
    'reserved-name': KeyError,
    'import-failed': ImportError,
}
"""Code of a problem -> what the old readers raised."""


class ConfigDict(dict[str, Any]):
    """A dict whose entries are attributes too; dicts within, also within lists, become the same.

    A missing item is a ``KeyError``, a missing attribute an ``AttributeError`` that names a close one.
    """

    def __init__(self, *args: Any, **entries: Any) -> None:
        super().__init__()
        for key, value in dict(*filter(None, args), **entries).items():
            self[key] = value

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, _nested(value))

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise _no_attribute(self, name, self)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise AttributeError(f"'{name}' is a method of {type(self).__name__}; set it as an item, ['{name}']")
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise _no_attribute(self, name, self)
        del self[name]

    def update(self, *args: Any, **entries: Any) -> None:
        """Take over entries; a dict joins the dict that is there."""
        for key, value in dict(*args, **entries).items():
            mine = self.get(key)
            if isinstance(mine, ConfigDict) and isinstance(value, Mapping):
                mine.update(value)
            else:
                self[key] = value

    def __or__(self, other: Any) -> Any:
        return NotImplemented if not isinstance(other, dict) else _joined(self, other)

    def __ror__(self, other: Any) -> Any:
        return NotImplemented if not isinstance(other, dict) else _joined(other, self)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The entry, which is ``default`` from now on if there was none."""
        if key not in self:
            self[key] = default
        return self[key]

    def merge(self, other: Mapping[str, Any]) -> None:
        """Lay a dict over this one as a config is laid over its base: ``_delete_`` counts."""
        merged = merge(self, other)
        self.clear()
        self.update(merged)

    def copy(self) -> ConfigDict:
        """A new dict of the same entries."""
        return type(self)(self)

    __copy__ = copy

    def deepcopy(self) -> ConfigDict:
        """A copy down to the values."""
        return copy.deepcopy(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts all the way down."""
        found: dict[str, Any] = plain(self)
        return found


class Config(MutableMapping[str, Any]):
    """The values of a config file, changeable as items and as attributes.

    Args:
        cfg_dict: The values.
        cfg_text: Source they come from.
        filename: File they come from; its text is taken if none is given.
        env_variables: Kept for old calls, as is the next.
        format_python_code: See above.

    Raises:
        KeyError: A name of the config itself, such as ``filename``, is among the values.
        TypeError: ``cfg_dict`` is no dict.
    """

    _cfg_dict: ConfigDict
    _filename: str | None
    _text: str

    def __init__(
        self,
        cfg_dict: Mapping[str, Any] | None = None,
        cfg_text: str | None = None,
        filename: str | Path | None = None,
        env_variables: Mapping[str, Any] | None = None,
        format_python_code: bool = True,
    ) -> None:
        if cfg_dict is not None and not isinstance(cfg_dict, Mapping):
            raise TypeError(f'cfg_dict must be a dict, not a {type(cfg_dict).__name__}')
        taken = sorted(RESERVED & set(cfg_dict or ()))
        if taken:
            raise KeyError(f'{", ".join(taken)}: reserved for the config itself')
        if not cfg_text and filename is not None:
            cfg_text = Path(filename).read_text(encoding='utf-8')
        vars(self).update(
            _cfg_dict=ConfigDict(cfg_dict or {}),
            _filename=None if filename is None else str(filename),
            _text=cfg_text or '',
        )

    @staticmethod
    def fromfile(
        filename: str | Path,
        use_predefined_variables: bool = True,
        import_custom_modules: bool = True,
        use_environment_variables: bool = True,
        lazy_import: bool | None = None,
        format_python_code: bool = True,
    ) -> Config:
        """Read a config file and all it inherits from; see :func:`intarsia.config.file.load_config`.

        Args:
            filename: ``.py``, ``.json``, ``.yaml`` or ``.yml``.
            use_predefined_variables: Kept for old calls: a file says itself what is to be filled in.
            import_custom_modules: Whether to import what ``custom_imports`` names.
            use_environment_variables: Kept for old calls.
            lazy_import: The same: a file shows which style it is in.
            format_python_code: The same.

        Raises:
            ConfigError: The file cannot be read; it is also the ``FileNotFoundError``, ``SyntaxError``, ``KeyError`` or
                ``ImportError`` that the old readers raised.
        """
        try:
            found = load_config(filename, raw=True)
        except ConfigError as error:
            raise _as_old_error(error.problems) from error
        problems = [Problem(f.code, f.message, f.path) for f in import_modules(found)] if import_custom_modules else []
        if problems:
            raise _as_old_error(problems)
        return Config(found.values, found.text, filename)

    @staticmethod
    def fromstring(cfg_str: str, file_format: str) -> Config:
        """Read a config from its text.

        Args:
            cfg_str: The text.
            file_format: ``'.py'``, ``'.json'``, ``'.yaml'`` or ``'.yml'``.

        Raises:
            OSError: Another format.
            ConfigError: As :meth:`fromfile`.
        """
        if file_format not in FORMATS:
            raise OSError(f'{file_format!r} is not {", ".join(FORMATS[:-1])} or {FORMATS[-1]}')
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f'config{file_format}'
            file.write_text(cfg_str, encoding='utf-8')
            return Config.fromfile(file)

    @property
    def filename(self) -> str | None:
        """The file."""
        return self._filename

    @property
    def text(self) -> str:
        """Source of the file and of all its bases."""
        return self._text

    @property
    def pretty_text(self) -> str:
        """Python source of the values."""
        return dump_python(self.to_dict())

    def __getitem__(self, key: str) -> Any:
        return self._cfg_dict[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._cfg_dict[key] = value

    def __delitem__(self, key: str) -> None:
        del self._cfg_dict[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cfg_dict)

    def __len__(self) -> int:
        return len(self._cfg_dict)

    def __getattr__(self, name: str) -> Any:
        values = vars(self).get('_cfg_dict', {})
        if name in values or (hasattr(ConfigDict, name) and not name.startswith('_')):
            return getattr(values, name)
        raise _no_attribute(self, name, values)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._cfg_dict, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._cfg_dict, name)

    def __repr__(self) -> str:
        return f'Config (path: {self.filename}): {self._cfg_dict!r}'

    def __copy__(self) -> Config:
        other = type(self).__new__(type(self))
        vars(other).update(vars(self), _cfg_dict=self._cfg_dict.copy())
        return other

    copy = __copy__

    def update(self, *args: Any, **entries: Any) -> None:
        """Take over entries; a dict joins the dict that is there."""
        self._cfg_dict.update(*args, **entries)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The entry, which is ``default`` from now on if there was none."""
        return self._cfg_dict.setdefault(key, default)

    def to_dict(self, keep_imported: bool = False) -> dict[str, Any]:
        """Plain dicts all the way down; ``keep_imported`` is kept for old calls."""
        return self._cfg_dict.to_dict()

    def dump(self, file: str | Path | None = None) -> str | None:
        """Write the values to a file, whose ending says how.

        Args:
            file: Where to; None gives the text, in the format of :attr:`filename`.
        """
        kind = Path(file or self.filename or 'config.py').suffix
        text = _formatted(self.to_dict(), kind)
        if file is None:
            return text
        Path(file).write_text(text, encoding='utf-8')
        return None

    def merge_from_dict(self, options: Mapping[str, Any], allow_list_keys: bool = True) -> None:
        """Change single values.

        Args:
            options: Dotted path -> value. A dict joins what is there, unless it has ``_delete_``.
            allow_list_keys: Whether a number in a path means an item of a list.

        Raises:
            ConfigError: A path leads nowhere; it is also the ``KeyError`` or ``TypeError`` that it was.
        """
        changed = ConfigFile(copy.deepcopy(self._cfg_dict))
        try:
            for path, value in _leaves(options, changed.values):
                parts = path.split('.')
                if not allow_list_keys and any(
                    isinstance(_at(changed.values, parts[:n]), list) for n in range(len(parts))
                ):
                    raise ConfigError(Problem('bad-option', 'this is an item of a list.', path))
                set_value(changed, path, value, Origin('merge_from_dict', None))
        except ConfigError as error:
            old = KeyError if 'out of range' in str(error) else TypeError
            raise _as_old_error(error.problems, old) from None
        vars(self)['_cfg_dict'] = changed.values


class DictAction(argparse.Action):
    """``--cfg-options a.b=1 c='[1,2]' d="[(a,1)]"`` as a dict of dotted paths; a repeated option adds to it.

    :func:`intarsia.config.override.parse_value` tells how values are read.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Read the values."""
        options = dict(getattr(namespace, self.dest, None) or {})
        try:
            options.update(parse_option(each) for each in ([values] if isinstance(values, str) else values or ()))
        except ConfigError as error:
            raise argparse.ArgumentError(self, str(error)) from None
        setattr(namespace, self.dest, options)


def read_base() -> NoReturn:
    """The word of config files that inherit by importing.

    Raises:
        ConfigError: Always: files that are read as configs never call it.
    """
    message = 'with read_base(): stands in config files; read them with Config.fromfile instead of importing them.'
    raise ConfigError(Problem('bad-config', message))


def _nested(value: Any) -> Any:
    if isinstance(value, dict):
        return value if isinstance(value, ConfigDict) else ConfigDict(value)
    return type(value)(map(_nested, value)) if type(value) in (list, tuple) else value


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> ConfigDict:
    both = copy.deepcopy(ConfigDict(one))
    both.update(other)
    return both


def _no_attribute(owner: Any, name: str, values: Mapping[str, Any]) -> AttributeError:
    close = None if name.startswith('_') else closest(name, (key for key in values if isinstance(key, str)))
    hint = f". Did you mean '{close}'?" if close else ''
    return AttributeError(f"'{type(owner).__name__}' object has no attribute '{name}'{hint}", name=name)


def _as_old_error(problems: Sequence[Problem], old: type[Exception] | None = None) -> Exception:
    old = old or OLD_ERRORS.get(problems[0].code)
    return also(ConfigError(problems), old) if old else ConfigError(problems)


def _formatted(values: dict[str, Any], kind: str) -> str:
    if kind == '.py':
        return dump_python(values)
    if kind == '.json':
        return json.dumps(values)
    if kind in ('.yaml', '.yml'):
        import yaml

        return yaml.safe_dump(json.loads(json.dumps(values)), sort_keys=False)
    raise OSError(f'{kind!r} is not {", ".join(FORMATS[:-1])} or {FORMATS[-1]}')


def _leaves(options: Mapping[str, Any], values: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Dotted paths and what to put there, with dicts that join others taken apart."""
    for key, value in options.items():
        here = f'{path}.{key}' if path else str(key)
        there = _at(values, here.split('.'))
        if not isinstance(value, Mapping) or there is None:
            yield here, value
        elif value.get(DELETE):
            yield here, {name: each for name, each in value.items() if name != DELETE}
        elif isinstance(there, dict) and any('.' in str(name) for name in value):
            yield here, merge(there, value)
        elif isinstance(there, (dict, list)):
            yield from _leaves(value, values, here)
        else:
            message = f'a dict cannot join a {type(there).__name__}; write dict(_delete_=True, ...) to replace it.'
            raise ConfigError(Problem('bad-option', message, here))


def _at(values: Any, path: Sequence[str]) -> Any:
    """The value at a path; None if there is none."""
    for part in path:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, (list, tuple)) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return None
    return values
