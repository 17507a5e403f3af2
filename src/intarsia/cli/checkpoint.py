"""``intarsia checkpoint show CHECKPOINT`` and ``intarsia checkpoint merge DIR FILE``."""

from __future__ import annotations

import argparse
import json

from intarsia.cli.options import add_flags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of both commands."""
    actions = parser.add_subparsers(dest='action', metavar='ACTION', required=True)
    show = actions.add_parser('show', help='print what is in a checkpoint', description='Print what is in it.')
    show.add_argument('checkpoint', metavar='CHECKPOINT', help='a file, or a folder of shards')
    add_flags(show, '--json')
    text = 'make one file of a folder of shards'
    merge = actions.add_parser('merge', help=text, description=f'{text[0].upper()}{text[1:]}.')
    merge.add_argument('folder', metavar='DIR', help="a checkpoint of a run with strategy = 'fsdp'")
    merge.add_argument('file', metavar='FILE', help='the checkpoint to write')


def run(args: argparse.Namespace) -> int:
    """Show or merge."""
    from intarsia.api.checkpoint import describe_checkpoint, merge_checkpoint

    if args.action == 'merge':
        merge_checkpoint(args.folder, args.file)
        return 0
    facts = describe_checkpoint(args.checkpoint).as_dict()
    if args.json:
        print(json.dumps(facts, indent=1))
        return 0
    meta, classes, dtypes = facts.pop('meta'), facts.pop('classes'), facts.pop('dtypes')
    for name, value in {**facts, **meta}.items():
        print(f'{name}: {", ".join(value) if isinstance(value, list) else value}')
    print(f'dtypes: {", ".join(f"{count} {name}" for name, count in dtypes.items())}')
    if classes:
        print(f'classes: {len(classes)}: {", ".join(classes)}')
    return 0
