"""``intarsia zoo check DIR``."""

from __future__ import annotations

import argparse
import json
import sys

from intarsia.cli.options import add_flags

SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    actions = parser.add_subparsers(dest='action', metavar='ACTION', required=True)
    text = 'Read, check and build every config file below a folder.'
    check = actions.add_parser('check', help='read, check and build every config file of a folder', description=text)
    check.add_argument('folder', metavar='DIR', help='the folder')
    add_flags(check, '--json')


def run(args: argparse.Namespace) -> int:
    """Print how many files came how far, and what is missing."""
    from intarsia.api.zoo import check_zoo  # here, for a --help that answers at once

    report = check_zoo(args.folder, _progress if sys.stderr.isatty() else lambda done, total: None)
    if args.json:
        print(json.dumps(report.as_dict(), indent=1))
        return 0
    for name, count in report.totals().items():
        print(f'{name.replace("_", " "):<12}{count:>6}')
    unlocks = report.unlocks()
    if unlocks:
        print(f'\nmissing, and how many files lack nothing else ({min(SHOWN, len(unlocks))} of {len(unlocks)}):')
        for name, count in list(unlocks.items())[:SHOWN]:
            print(f'{count:>6}  {name}')
    return 0


def _progress(done: int, total: int) -> None:
    print(f'\r{done} of {total}', end='\n' if done == total else '', file=sys.stderr, flush=True)
