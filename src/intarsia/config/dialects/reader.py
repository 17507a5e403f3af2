"""Taking a foreign config apart, key by key, so that nothing is overlooked; and putting the house form together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from intarsia.config.components import Finding
from intarsia.config.origins import Origins
from intarsia.core.errors import closest


class Reader:
    """Keys are taken out of it; :meth:`done` reports those that nobody took.

    Args:
        values: A dict of the config, or None; it is not changed.
        path: Its key path.
        findings: Where mistakes go.
    """

    def __init__(self, values: Any, path: str, findings: list[Finding]) -> None:
        self.path, self.findings = path, findings
        self._left: dict[str, Any] = {}
        self._taken: set[str] = set()
        if isinstance(values, Mapping):
            self._left = {key: value for key, value in values.items() if key != '_scope_'}
        elif values is not None:
            findings.append(Finding('wrong-type', f"'{path}' must be a dict, not {values!r:.80}.", path))

    def __contains__(self, key: str) -> bool:
        """Whether it is there, and nobody has taken it yet."""
        self._taken.add(key)
        return key in self._left

    def place(self, key: str) -> str:
        """The key path of an entry."""
        return f'{self.path}.{key}' if self.path else key

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a key, which counts as read."""
        self._taken.add(key)
        return self._left.pop(key, default)

    def section(self, key: str) -> Reader:
        """A reader of the dict under a key; an empty one if there is none."""
        return Reader(self.take(key), self.place(key), self.findings)

    def rest(self) -> dict[str, Any]:
        """All that is left, which counts as read."""
        left, self._left = self._left, {}
        return left

    def drop(self, *keys: str) -> None:
        """Read keys that mean nothing here."""
        for key in keys:
            self.take(key)

    def report(self, key: str, message: str, code: str = 'other-generation', suggestion: str | None = None) -> None:
        """Note a mistake in an entry."""
        self.findings.append(Finding(code, message, self.place(key), suggestion))

    def done(self) -> None:
        """Report what is left."""
        for key in self._left:
            known = ', '.join(sorted(self._taken))
            message = f"'{self.path}' has no field '{key}'. It has: {known}."
            self.report(key, message, 'unknown-field', closest(str(key), self._taken))


class House:
    """The house form of a config while it is put together.

    Args:
        origins: Where the foreign form was written.
    """

    def __init__(self, origins: Origins) -> None:
        self.values: dict[str, Any] = {}
        self.origins = Origins()
        self._foreign = origins

    def put(self, path: str, value: Any, source: str | None = None) -> None:
        """Set a value.

        Args:
            path: Its key path, of names only.
            value: What it is.
            source: The key path of the foreign form that it comes from.
        """
        *parents, name = path.split('.')
        node = self.values
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
        if source is not None:
            self.trace(path, source)

    def trace(self, path: str, source: str) -> None:
        """Note that what stands at ``path`` was written at ``source``."""
        self.origins.graft(path, self._foreign, source)
        place = self._foreign.find(source)
        if place is not None and self.origins.find(path) is None:
            self.origins.set(path, place)


def moved(reader: Reader, names: Mapping[str, str]) -> dict[str, Any]:
    """Take keys that are only called otherwise; those that are not there stay away."""
    return {house: reader.take(foreign) for foreign, house in names.items() if foreign in reader}


def same(names: Iterable[str]) -> dict[str, str]:
    """The table of keys that have the same name in both forms."""
    return {name: name for name in names}
