"""``intarsia predict CONFIG CHECKPOINT IMAGE...``."""

from __future__ import annotations

import argparse
import json

from intarsia.cli.options import add_config, add_flags, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='weights to predict with')
    parser.add_argument('images', metavar='IMAGE', nargs='+', help='images, videos, or folders of them')
    parser.add_argument('--out-dir', default='predictions', metavar='DIR', help='folder of the pictures')
    parser.add_argument('--boxes', metavar='FILE', help='JSON: where the people are, by file name')
    add_flags(parser, '--cfg-options', '--device', '--json')


def run(args: argparse.Namespace) -> int:
    """Predict, draw, and print the answers."""
    config = read_config(args)
    from intarsia.api.predict import predict

    answers = predict(config, args.checkpoint, args.images, args.out_dir, device=args.device, boxes=args.boxes)
    if args.json:
        print(json.dumps([answer.as_dict() for answer in answers], indent=1))
    else:
        for answer in answers:
            print(f'{answer.file}: {answer.result} -> {answer.output}')
    return 0
