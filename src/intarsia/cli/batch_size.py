"""``intarsia batch-size CONFIG``."""

from __future__ import annotations

import argparse
import json

from intarsia.cli.options import add_config, add_flags, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_config(parser)
    parser.add_argument('--max', type=_positive, default=4096, metavar='N', help='largest size to try (default: 4096)')
    parser.add_argument('--memory-mb', type=_positive, metavar='MIB',
                        help='memory that may be used; needed on the CPU, where a trial can take twice it')  # fmt: skip
    add_flags(parser, '--cfg-options', '--device', '--json')


def run(args: argparse.Namespace) -> int:
    """Try sizes, and print how fast each was and the largest that fits."""
    config = read_config(args)
    from intarsia.config.check import checked
    from intarsia.config.pretrained import without_pretrained

    config.values['model'] = without_pretrained(config.values.get('model'))  # they need no other memory
    checked(config)
    from intarsia.api.batch_size import largest_batch

    largest, tried = largest_batch(config, args.max, args.memory_mb)
    if args.json:
        sizes = [{'size': size, 'images_per_second': speed} for size, speed in tried.items()]
        print(json.dumps({'largest': largest, 'max': args.max, 'tried': sizes}, indent=1))
        return 0 if largest else 1
    for size, speed in tried.items():
        print(f'{size:6d}  ' + (f'{speed:.1f} images/s' if speed is not None else 'does not fit'))
    at_limit = f', the largest that was tried; --max {2 * args.max} tries more' if largest == args.max else ''
    print(f'largest batch that fits: {largest}{at_limit}' if largest else 'not even one image fits')
    return 0 if largest else 1


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be positive, not {number}')
    return number
