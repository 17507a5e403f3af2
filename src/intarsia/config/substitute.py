"""Text that is replaced before a config file is read: ``{{ fileDirname }}``, ``{{$HOME:default}}``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from intarsia.core.errors import ConfigError, Problem, closest

_FILE_WORD = re.compile(r'\{\{\s*(file\w+)\s*\}\}')
_QUOTED_ENV = re.compile(r"""(['"])\{\{\s*\$(\w+)\s*(?::\s*(\S*?))?\s*\}\}\1""")
_BARE_ENV = re.compile(r"""\{\{\s*'\$(\w+)\s*(?::\s*(\S*?))?\s*'\s*\}\}|\{\{\s*\$(\w+)\s*(?::\s*(\S*?))?\s*\}\}""")


def substitute_text(text: str, file: Path) -> str:
    """Replace file variables and environment variables in the source of a config file.

    ``'{{$NAME:default}}'`` stays a string; ``{{'$NAME:80'}}`` becomes a bare Python value.

    Args:
        text: The source.
        file: The file it comes from.

    Raises:
        ConfigError: An environment variable that is not set and has no default, or an unknown ``{{ fileX }}``.
    """
    words = {
        'fileDirname': file.parent.as_posix(),
        'fileBasename': file.name,
        'fileBasenameNoExtension': file.stem,
        'fileExtname': file.suffix,
    }

    def file_word(match: re.Match[str]) -> str:
        if match[1] not in words:
            known = ', '.join(words)
            raise _problem(text, file, match, f"there is no '{match[1]}', only {known}", closest(match[1], words))
        return words[match[1]]

    def environment(match: re.Match[str], name: str, default: str | None) -> str:
        value = os.environ.get(name, default)
        if value is None:
            raise _problem(text, file, match, f'the environment variable {name} is not set and has no default')
        return value

    text = _FILE_WORD.sub(file_word, text)
    text = _QUOTED_ENV.sub(lambda m: f'{m[1]}{environment(m, m[2], m[3])}{m[1]}', text)
    return _BARE_ENV.sub(lambda m: environment(m, m[1] or m[3], m[2] if m[1] else m[4]), text)


def _problem(text: str, file: Path, match: re.Match[str], message: str, suggestion: str | None = None) -> ConfigError:
    line = text.count('\n', 0, match.start()) + 1
    return ConfigError(Problem('bad-substitution', message + '.', '', str(file), line, suggestion))
