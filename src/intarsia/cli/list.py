"""``intarsia list [REGISTRY]``."""

from __future__ import annotations

import argparse
import json

from intarsia.cli.options import add_flags
from intarsia.core.errors import ConfigError, Problem, closest
from intarsia.core.registries import all_registries


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument('registry', nargs='?', metavar='REGISTRY', help='backbones, losses, hooks, ... (default: all)')
    add_flags(parser, '--json')


def run(args: argparse.Namespace) -> int:
    """Print names, found without importing any component."""
    registries = all_registries()
    if args.registry is not None:
        name = args.registry.upper()
        if name not in registries:
            close = closest(name, registries)
            raise ConfigError(
                Problem(
                    'unknown-component',
                    f"there is no registry '{args.registry}'.",
                    suggestion=(close or '').lower() or None,
                )
            )
        registries = {name: registries[name]}
    names = {name: registry.names() for name, registry in registries.items()}
    if args.json:
        print(json.dumps(names, indent=1))
        return 0
    for name, each in names.items():
        print(f'{name} ({len(each)})')
        for component in each:
            print(f'  {component}')
    return 0
