"""What can go wrong, said once: where, what, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class IntarsiaError(Exception):
    """Base class of the errors that a user can act on; its text is meant to be read by a person."""


class RegistryError(IntarsiaError, KeyError):
    """A name that a registry does not have, or has twice."""

    def __str__(self) -> str:
        """The message itself: ``KeyError`` alone would print its repr."""
        return str(self.args[0]) if self.args else ''


class CheckpointError(IntarsiaError):
    """A checkpoint that is missing, truncated, or does not fit the model."""


class DataError(IntarsiaError):
    """Data on disk that is missing, broken or contradicts the config."""


class BrokenFileError(DataError):
    """A file of one sample that is missing or cannot be decoded; training replaces the sample and goes on."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a config.

    Attributes:
        code: Short stable name of the kind of mistake, from :data:`intarsia.config.check.CODES`.
        message: One sentence that names the mistake.
        path: Dotted key path in the config, list items by number (``data.train.pipeline.0.type``).
        file: File that wrote the value, or None if no file did.
        line: Line in that file, from 1.
        suggestion: The word that was probably meant.
    """

    code: str
    message: str
    path: str = ''
    file: str | None = None
    line: int | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        """``FILE:LINE: PATH: MESSAGE Did you mean 'WORD'?`` with the parts that are known."""
        place = f'{self.file}:{self.line}: ' if self.file and self.line else f'{self.file}: ' if self.file else ''
        path = f'{self.path}: ' if self.path else ''
        hint = f" Did you mean '{self.suggestion}'?" if self.suggestion else ''
        return f'{place}{path}{self.message}{hint}'


class ConfigError(IntarsiaError):
    """All mistakes found in a config, together."""

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems: list[Problem] = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__('\n'.join(map(str, self.problems)))


def closest(word: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The choice most like ``word``, ignoring case, or None if none is alike enough."""
    by_fold = {choice.casefold(): choice for choice in sorted(choices)}
    found = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=cutoff)
    return by_fold[found[0]] if found else None
