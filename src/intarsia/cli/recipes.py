"""``intarsia recipes``."""

from __future__ import annotations

import argparse
import ast
import json

from intarsia.cli.options import add_flags
from intarsia.config.packages import RECIPES_DIR


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_flags(parser, '--json')


def run(args: argparse.Namespace) -> int:
    """Print every shipped config file with the first line of its docstring."""
    found = {}
    for file in sorted(RECIPES_DIR.rglob('*.py')):
        if '_base_' not in file.parts:
            text = ast.get_docstring(ast.parse(file.read_text(encoding='utf-8'))) or ''
            found[f'intarsia::{file.relative_to(RECIPES_DIR).as_posix()}'] = text.partition('\n')[0]
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        for name, title in found.items():
            print(f'{name}\n    {title}')
    return 0
