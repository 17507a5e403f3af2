"""``intarsia proposals CONFIG CHECKPOINT --out DIR``."""

from __future__ import annotations

import argparse
import json

from intarsia.cli.options import add_config, add_flags, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='weights of the first stage (TEM)')
    parser.add_argument('--out', required=True, metavar='DIR', help='where pgm_proposals and pgm_features go')
    parser.add_argument('--top-k', type=int, default=1000, metavar='N',
                        help='most proposals of a stream (default: 1000)')  # fmt: skip
    parser.add_argument('--peak-threshold', type=float, default=0.5, metavar='PART',
                        help='above this part of the greatest score is a boundary (default: 0.5)')  # fmt: skip
    add_flags(parser, '--cfg-options', '--device', '--json')


def run(args: argparse.Namespace) -> int:
    """Write the files, and print how many."""
    config = read_config(args)
    from intarsia.api.proposals import write_proposals

    counts = write_proposals(
        config, args.checkpoint, args.out, device=args.device, top_k=args.top_k, peak_threshold=args.peak_threshold
    )
    if args.json:
        print(json.dumps({'out': args.out, 'streams': counts}, indent=1))
    else:
        print(f'wrote proposals of {", ".join(f"{n} streams of {s}" for s, n in counts.items())} to {args.out}')
    return 0
