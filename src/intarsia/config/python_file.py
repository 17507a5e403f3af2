"""Config files in Python: their statements are run, their syntax tree tells what was written where."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from intarsia.config.attributes import attributes, is_code, plain
from intarsia.config.origins import Origins, origins_of_source
from intarsia.config.references import BaseReferences, fill_references
from intarsia.config.untrusted import SAFE_BUILTINS, refuse_code
from intarsia.core.errors import ConfigError, Problem, closest


def parse(file: Path, source: str) -> ast.Module:
    """The syntax tree of a config file.

    Raises:
        ConfigError: It is not Python.
    """
    try:
        return ast.parse(source, str(file))
    except SyntaxError as error:
        message = f'syntax error: {error.msg}: {(error.text or "").strip()}'
        raise ConfigError(Problem('syntax-error', message, '', str(file), error.lineno)) from None


class PythonFile:
    """One ``.py`` config.

    Args:
        file: The file.
        tree: Its syntax tree, which is changed.
        trusted: Whether it may import and call; see :mod:`intarsia.config.untrusted`.
    """

    def __init__(self, file: Path, tree: ast.Module, trusted: bool = True) -> None:
        self.file, self.tree, self.trusted = file, tree, trusted
        self.origins = Origins()

    def bases(self) -> str | list[str]:
        """The value of ``_base_``, which is taken out of the tree."""
        for i, node in enumerate(self.tree.body):
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == '_base_' for t in node.targets):
                del self.tree.body[i]
                return self._value(node.value)
        return []

    def _value(self, node: ast.expr) -> Any:
        names: dict[str, Any] = {}
        assignment = ast.Assign([ast.Name('_base_', ast.Store())], node)
        self.run(ast.fix_missing_locations(ast.copy_location(ast.Module([assignment], []), node)), names)
        return names['_base_']

    def values(self, bases: dict[str, Any], origins: Origins) -> dict[str, Any]:
        """Run the file and collect its names.

        Args:
            bases: Values of its bases; what the file assigns to ``_base_.NAME`` changes them.
            origins: Where those were written.
        """
        tree = ast.fix_missing_locations(BaseReferences().visit(self.tree))
        self.origins = origins_of_source(tree, str(self.file), origins)
        names: dict[str, Any] = {'__file__': str(self.file), '_base_': attributes(bases)}
        self.run(tree, names)
        bases.update(plain(names.pop('_base_')))
        own = {name: value for name, value in names.items() if not name.startswith('__') and not is_code(value)}
        return fill_references({name: plain(value) for name, value in own.items()}, bases, self.file)

    def run(self, tree: ast.Module, names: dict[str, Any]) -> None:
        """Execute a tree of this file in a dict of names.

        Raises:
            ConfigError: A statement fails, or is refused.
        """
        if not self.trusted:
            refuse_code(tree, self.file)
            names['__builtins__'] = SAFE_BUILTINS
        try:
            exec(compile(tree, str(self.file), 'exec'), names)
        except Exception as error:
            raise self._failed(error, names) from error

    def _failed(self, error: Exception, names: Iterable[str]) -> ConfigError:
        line, trace = None, error.__traceback__
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(self.file) else line
            trace = trace.tb_next
        meant = closest(error.name, names) if isinstance(error, NameError) and error.name else None
        message = f'{type(error).__name__}: {str(error).rstrip(".")}.'
        return ConfigError(Problem('bad-config', message, '', str(self.file), line, meant))
