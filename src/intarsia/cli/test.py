"""``intarsia test CONFIG CHECKPOINT``."""

from __future__ import annotations

import argparse
import json

from intarsia.cli.options import add_config, add_flags, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='weights to test')
    add_flags(parser, '--cfg-options', '--seed', '--deterministic', '--device', '--launcher', '--json')


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the metrics."""
    config = read_config(args)
    from intarsia.config.check import checked
    from intarsia.config.pretrained import without_pretrained

    config.values['model'] = without_pretrained(config.values.get('model'))  # the checkpoint has them all
    checked(config)
    from intarsia.api.test import test
    from intarsia.engine.distributed import find_world

    outcome = dict(test(config, args.checkpoint))
    table = outcome.pop('table')
    if find_world(args.launcher).rank != 0:
        return 0
    if args.json:
        print(json.dumps(outcome, indent=1))
    else:
        if table:
            print(table)
        for name, value in outcome['metrics'].items():
            print(f'{name}: {value:.4f}' if isinstance(value, float) else f'{name}: {value}')
    return 0
