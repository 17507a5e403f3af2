"""``intarsia env``."""

from __future__ import annotations

import argparse
import json

from intarsia.cli.options import add_flags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_flags(parser, '--json')


def run(args: argparse.Namespace) -> int:
    """Print versions and devices."""
    from intarsia.engine.environment import environment

    facts = environment()
    if args.json:
        print(json.dumps(facts, indent=1))
    else:
        for name, value in facts.items():
            print(f'{name}: {value}')
    return 0
