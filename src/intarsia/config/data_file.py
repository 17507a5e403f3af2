"""Config files that hold nothing but data: ``.json`` and ``.yaml``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from intarsia.config.origins import Origin, Origins
from intarsia.config.references import BASE_REFERENCE, fill_references
from intarsia.core.errors import ConfigError, Problem


class DataFile:
    """A ``.json`` or ``.yaml`` config."""

    def __init__(self, file: Path, source: str) -> None:
        import yaml

        self.file = file
        self.origins = Origins()
        try:
            quoted = BASE_REFERENCE.sub(lambda m: m[0] if _in_quotes(source, m.start()) else f'"{m[0]}"', source)
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

    def values(self, bases: dict[str, Any], origins: Origins) -> dict[str, Any]:
        """The data with references to values of ``bases`` filled in; nothing else is used."""
        return fill_references(self.data, bases, self.file)


def _in_quotes(source: str, position: int) -> bool:
    line_start = source.rfind('\n', 0, position) + 1
    return source.count('"', line_start, position) % 2 == 1 or source.count("'", line_start, position) % 2 == 1
