"""``--cfg-options a.b.0.c=value``: single values changed from the command line."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterable
from typing import Any

from intarsia.config.file import ConfigFile
from intarsia.config.origins import Origin
from intarsia.core.errors import ConfigError, Problem

SOURCE = '--cfg-options'


def parse_option(text: str) -> tuple[str, Any]:
    """``'a.b=1,2'`` -> ``('a.b', [1, 2])``; only the first ``=`` splits.

    Raises:
        ConfigError: There is no ``=``, or the brackets and quotes of the value do not match.
    """
    key, equals, value = text.partition('=')
    if not equals or not key.strip():
        raise ConfigError(Problem('bad-option', f'{text!r} is not KEY=VALUE.', '', SOURCE))
    return key.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """The value of an option: int, float, bool, None, list ``a,b`` or ``[a,b]``, tuple ``(a,b)``, else a string.

    Quotes keep a string a string: ``'"1,2"'`` is ``'1,2'``. What begins with a bracket and is a Python literal, such as
    ``[{'type': 'Resize'}]``, is that.
    """
    if text.lstrip()[:1] in ('[', '(', '{'):
        with contextlib.suppress(ValueError, SyntaxError):
            return ast.literal_eval(text.strip())
    parser = _Parser(text.strip())
    items = [parser.item()]
    is_list = False
    while parser.take(','):
        is_list = True
        if parser.at_end():
            break
        items.append(parser.item())
    if not parser.at_end():
        raise parser.error()
    return items if is_list else items[0]


class _Parser:
    _PLAIN = re.compile(r'[^,()\[\]]*')

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def at_end(self) -> bool:
        self._skip_spaces()
        return self.position >= len(self.text)

    def take(self, character: str) -> bool:
        self._skip_spaces()
        found = self.text.startswith(character, self.position)
        self.position += found
        return found

    def item(self) -> Any:
        self._skip_spaces()
        if self.take('['):
            return self._sequence(']')
        if self.take('('):
            return tuple(self._sequence(')'))
        for quote in '\'"':
            if self.take(quote):
                return self._quoted(quote)
        match = self._PLAIN.match(self.text, self.position)
        assert match is not None
        self.position = match.end()
        return _scalar(match[0].strip())

    def _sequence(self, closing: str) -> list[Any]:
        items: list[Any] = []
        while not self.take(closing):
            if self.at_end():
                raise self.error()
            items.append(self.item())
            if not self.take(',') and not self.text.startswith(closing, self.position):
                raise self.error()
        return items

    def _quoted(self, quote: str) -> str:
        end = self.text.find(quote, self.position)
        if end < 0:
            raise self.error()
        value, self.position = self.text[self.position : end], end + 1
        return value

    def _skip_spaces(self) -> None:
        while self.position < len(self.text) and self.text[self.position] == ' ':
            self.position += 1

    def error(self) -> ConfigError:
        return ConfigError(Problem('bad-option', f'quotes or brackets do not match in {self.text!r}.', '', SOURCE))


def _scalar(text: str) -> Any:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return {'true': True, 'false': False, 'none': None}.get(text.lower(), text)


def apply_options(config: ConfigFile, options: Iterable[str]) -> None:
    """Change values of ``config`` in place, one option after the other: the last word on a key wins.

    Raises:
        ConfigError: A path that leads through something that has no parts, or a list index out of range.
    """
    for option in options:
        path, value = parse_option(option)
        set_value(config, path, value, Origin(SOURCE, None))


def set_value(config: ConfigFile, path: str, value: Any, origin: Origin) -> None:
    """Set the value at a dotted path; missing dicts on the way are made, list items are named by number."""
    *parents, last = path.split('.')
    node: Any = config.values
    walked: list[str] = []
    for part in parents:
        node = _child(node, part, walked)
        walked.append(part)
    if isinstance(node, list):
        node[_index(node, last, walked)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise _no_parts(node, walked)
    config.origins.forget(path)
    config.origins.set(path, origin)


def _child(node: Any, part: str, walked: list[str]) -> Any:
    if isinstance(node, list):
        i = _index(node, part, walked)
        node[i] = list(node[i]) if isinstance(node[i], tuple) else node[i]
        return node[i]
    if isinstance(node, dict):
        if isinstance(node.get(part), tuple):
            node[part] = list(node[part])
        if node.get(part) is None:
            node[part] = {}
        return node[part]
    raise _no_parts(node, walked)


def _index(node: list[Any], part: str, walked: list[str]) -> int:
    if not re.fullmatch(r'-?\d+', part):
        path = '.'.join(walked)
        raise ConfigError(
            Problem('bad-option', f'{path} is a list; name its items by number, not {part!r}.', path, SOURCE)
        )
    if not -len(node) <= int(part) < len(node):
        path = '.'.join(walked)
        message = f'index {part} is out of range: {path} has {len(node)} items.'
        raise ConfigError(Problem('bad-option', message, path, SOURCE))
    return int(part)


def _no_parts(node: Any, walked: list[str]) -> ConfigError:
    path = '.'.join(walked)
    return ConfigError(Problem('bad-option', f'{path} is {node!r:.60}, which has no parts.', path, SOURCE))
