"""``intarsia plot schedule CONFIG``."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.cli.chart import draw_chart
from intarsia.cli.options import add_config, add_flags, read_config

if TYPE_CHECKING:
    from intarsia.api.plot import Curves

SUFFIXES = ('.png', '.svg', '.pdf')
MAX_WIDTH, HEIGHT = 100, 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    actions = parser.add_subparsers(dest='action', metavar='ACTION', required=True)
    text = 'draw learning rate, momentum and weight decay over a run'
    schedule = actions.add_parser('schedule', help=text, description=f'{text[0].upper()}{text[1:]}.')
    add_config(schedule)
    schedule.add_argument('--out', type=_picture, metavar='FILE', help='draw into a .png, .svg or .pdf file instead')
    schedule.add_argument('--epoch-length', type=_positive, metavar='N',
                          help='iterations of an epoch (default: as many as the data set gives)')  # fmt: skip
    add_flags(schedule, '--cfg-options', '--json')


def run(args: argparse.Namespace) -> int:
    """Play the schedules through and show them."""
    config = read_config(args)
    from intarsia.api.plot import draw_schedules, play_schedules

    curves = play_schedules(config, args.epoch_length)
    if args.out:
        draw_schedules(curves, args.out)
    if args.json:
        names = ('iters', 'lr', 'momentum', 'weight_decay')
        print(json.dumps({name: getattr(curves, name) for name in names}))
    elif args.out:
        print(args.out)
    else:
        width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
        print('\n'.join(schedule_lines(curves, width)))
    return 0


def schedule_lines(curves: Curves, width: int) -> list[str]:
    """The charts as lines of text; what stays the same gets one line."""
    count, length = len(curves.iters), curves.epoch_length
    lines: list[str] = []
    for title, values in curves.drawn().items():
        if min(values) == max(values):
            lines.append(f'{title}: {values[0]:.6g} throughout')
        else:
            epochs = f', {length} an epoch' if length else ''
            lines += draw_chart(title, values, width, HEIGHT, ('0', f'iteration{epochs}', str(count - 1)))
        lines.append('')
    return [*lines[:-1], *(['', *curves.plateaus] if curves.plateaus else [])]


def _picture(text: str) -> Path:
    file = Path(text)
    if file.suffix not in SUFFIXES:
        raise argparse.ArgumentTypeError(f'a picture ends with {", ".join(SUFFIXES)}, not {text!r}')
    return file


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be a positive number, not {text!r}')
    return int(text)
