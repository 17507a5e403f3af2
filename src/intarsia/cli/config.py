"""``intarsia config show FILE``, ``check FILE`` and ``migrate FILE``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.cli.options import add_config, add_flags, read_config
from intarsia.config.dump import dump_json, dump_python
from intarsia.core.errors import ConfigError

if TYPE_CHECKING:
    from intarsia.config.file import ConfigFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the commands."""
    actions = parser.add_subparsers(dest='action', metavar='ACTION', required=True)
    show = actions.add_parser('show', help='print the merged config', description='Print the merged config.')
    add_config(show)
    show.add_argument('--raw', action='store_true', help='as merged from the files, before any translation')
    show.add_argument('--origins', action='store_true', help='one line a value, with the file and line that wrote it')
    add_flags(show, '--cfg-options', '--json')
    check = actions.add_parser('check', help='report every mistake', description='Report every mistake in a config.')
    add_config(check)
    check.add_argument('--no-files', action='store_true', help='do not look whether files exist')
    check.add_argument('--build', action='store_true', help='also build the model, without memory, and run it once')
    add_flags(check, '--cfg-options', '--json')
    text = 'Write a config of any generation, with all that it inherits, as one file in the words of the house.'
    migrate = actions.add_parser('migrate', help='write it as one file in the words of the house', description=text)
    add_config(migrate)
    migrate.add_argument('--out', metavar='FILE', help='where to (default: to the terminal)')
    add_flags(migrate, '--cfg-options')


def run(args: argparse.Namespace) -> int:
    """Show, check or migrate."""
    return {'show': _show, 'check': _check, 'migrate': _migrate}[args.action](args)


def _migrate(args: argparse.Namespace) -> int:
    source = dump_python(read_config(args).values)
    if args.out is None:
        print(source, end='')
        return 0
    file = Path(args.out)
    if file.exists():
        print(f'error: {file} exists already; it is not overwritten', file=sys.stderr)
        return 1
    file.write_text(source, encoding='utf-8')
    return 0


def _show(args: argparse.Namespace) -> int:
    config = read_config(args)
    if args.origins:
        for path, value in _leaves(config.values):
            origin = config.origins.find(path)
            place = (
                f'  # {origin.file}:{origin.line}' if origin and origin.line else f'  # {origin.file}' if origin else ''
            )
            print(f'{path} = {value!r}{place}')
    else:
        print(dump_json(config.values) if args.json else dump_python(config.values), end='\n' if args.json else '')
    return 0


def _check(args: argparse.Namespace) -> int:
    try:
        config = read_config(args)
        problems = _problems(config, args)
    except ConfigError as error:
        problems = error.problems
    if args.json:
        print(json.dumps({'ok': not problems, 'problems': [vars(p) for p in problems]}, indent=1))
        return 2 if problems else 0
    if problems:
        raise ConfigError(problems)
    print(f'{args.config}: ok')
    return 0


def _problems(config: ConfigFile, args: argparse.Namespace) -> list[Any]:
    from intarsia.config.check import check

    problems = check(config, files=not args.no_files)
    if args.build and not problems:
        from intarsia.api.probe import probe_model
        from intarsia.api.tasks import ready

        problems = probe_model(ready(config, files=False))
    return problems


def _leaves(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(value, (Mapping, list, tuple)) and value:
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from _leaves(item, f'{path}.{key}' if path else str(key))
    else:
        yield path, value
