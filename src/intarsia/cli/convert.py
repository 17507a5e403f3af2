"""``intarsia convert SRC DST``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from intarsia.cli.options import add_flags

if TYPE_CHECKING:
    from intarsia.api.convert import Conversion

SOURCES = ('auto', 'torchvision', 'timm', 'mmcls', 'mmpretrain', 'mmseg', 'mmpose', 'mmaction')
TARGETS = ('intarsia', '0.x', '1.x')
SHOWN = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument('src', metavar='SRC', help='weights to read, a file or a name of local weights')
    parser.add_argument('dst', metavar='DST', help='the file to write')
    parser.add_argument(
        '--from', dest='source', choices=SOURCES, default='auto', help='who wrote SRC (default: found out)'
    )
    parser.add_argument(
        '--to', dest='target', choices=TARGETS, default='intarsia', help='whose names to write (default: ours)'
    )
    parser.add_argument('--config', metavar='CONFIG', help='config whose model has to take the weights')
    parser.add_argument('--partial', action='store_true', help='leave out what does not fit, instead of failing')
    add_flags(parser, '--cfg-options', '--json')


def run(args: argparse.Namespace) -> int:
    """Convert, and tell what was done."""
    from intarsia.api.convert import convert_checkpoint

    found = convert_checkpoint(
        args.src,
        args.dst,
        source=args.source,
        target=args.target,
        config=args.config,
        cfg_options=args.cfg_options,
        partial=args.partial,
    )
    if args.json:
        print(json.dumps(found.as_dict(), indent=1))
    else:
        _tell(found, args.dst)
    return 0


def _tell(found: Conversion, file: str) -> None:
    who = (
        f'{found.source} {found.family}, for {" or ".join(found.models)}'
        if found.family
        else 'a model of the toolboxes'
    )
    print(f'{who}: {found.num_entries} entries in {file}, {len(found.renamed)} of them renamed')
    for old, new in list(found.renamed.items())[:SHOWN]:
        print(f'  {old} -> {new}')
    if len(found.renamed) > SHOWN:
        print('  ...')
    for title, keys in (('not needed', found.dropped), ('left over', found.left_over), ('missing', found.missing)):
        if keys:
            print(f'{title}: {len(keys)}: {", ".join(keys[:SHOWN])}{", ..." if len(keys) > SHOWN else ""}')
    if found.note:
        print(f'note: {found.note}')
