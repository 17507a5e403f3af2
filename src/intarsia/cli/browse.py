"""``intarsia browse CONFIG``."""

from __future__ import annotations

import argparse

from intarsia.cli.options import add_config, add_flags, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_config(parser)
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='which data set')
    parser.add_argument('--num', type=int, default=16, metavar='N', help='how many samples')
    parser.add_argument('--epoch', type=int, default=0, metavar='N', help='which epoch, from 0')
    parser.add_argument('--out', default='browse.png', metavar='FILE', help='the picture')
    add_flags(parser, '--cfg-options', '--seed')


def run(args: argparse.Namespace) -> int:
    """Draw the samples and say where they are."""
    config = read_config(args)
    from intarsia.api.browse import browse

    count = browse(config, args.out, split=args.split, num=args.num, epoch=args.epoch)
    print(f'{count} samples of data.{args.split} -> {args.out}')
    return 0
