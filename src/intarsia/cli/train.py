"""``intarsia train CONFIG``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from intarsia.cli.options import add_config, add_flags, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_config(parser)
    add_flags(parser, '--work-dir', '--resume-from', '--auto-resume', '--load-from', '--cfg-options', '--seed',
              '--deterministic', '--device', '--launcher', '--auto-scale-lr', '--no-validate', '--no-pretrained',
              '--json')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Check, assemble, train."""
    config = read_config(args)
    from intarsia.config.check import checked
    from intarsia.config.pretrained import without_pretrained

    if args.no_pretrained:
        config.values['model'] = without_pretrained(config.values.get('model'))
    checked(config)  # before torch is imported, so that mistakes are reported at once
    from intarsia.api.train import train

    result = train(config, validate=not args.no_validate, console=None if args.json else _console())
    if args.json and result.rank == 0:
        document = {
            'work_dir': str(result.work_dir),
            'epoch': result.epoch,
            'iter': result.iter,
            'metrics': {k: v for k, v in result.metrics.items() if isinstance(v, (int, float, str))},
            'stopped_by': result.stopped_by,
        }
        print(json.dumps(document, indent=1))
    return 128 + result.stopped_by if result.stopped_by else 0


def _console() -> Any:
    """A live console on a terminal; None elsewhere."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console

    return Console(stderr=True)
