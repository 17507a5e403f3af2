"""The ``intarsia`` command."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

import intarsia.openmmlab  # noqa: F401 - modules of users, also in workers, may import the old packages
from intarsia.cli.options import FLAGS
from intarsia.core.errors import CheckpointError, ConfigError, IntarsiaError, closest
from intarsia.core.version import __version__

COMMANDS = {
    'train': 'train a model from a config file',
    'test': 'evaluate a checkpoint on data.test',
    'predict': 'predict images and draw the answers',
    'proposals': 'write proposed segments for the second stage of BSN',
    'browse': 'draw samples as training sees them',
    'config': 'show, check or migrate a config file',
    'zoo': 'find out how much of a folder of config files runs here',
    'plot': 'draw the schedules of a run',
    'list': 'list components by registry',
    'recipes': 'list the config files that come with the package',
    'convert': 'make weights of other libraries, or of the old toolboxes, a file that our models load',
    'checkpoint': 'show what is in a checkpoint, or make one file of its shards',
    'batch-size': 'find the largest batch that fits into memory',
    'env': 'print versions and devices, for a bug report',
}
"""Each is a module of this package with ``add_arguments(parser)`` and ``run(args) -> exit code``."""

EXIT_FAILED, EXIT_USAGE, EXIT_NO_CHECKPOINT = 1, 2, 3


class Parser(argparse.ArgumentParser):
    """A parser that suggests the word that was probably meant."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print the usage and the mistake, and end with 2."""
        words = [*FLAGS, *(option for action in self._actions for option in action.option_strings)]
        wrong = next((w.partition('=')[0].rstrip(':,') for w in message.split() if w.startswith('--')), None)
        if 'invalid choice' in message:
            wrong, words = message.split("'")[1], list(COMMANDS)
        close = closest(wrong, words) if wrong else None
        hint = f" Did you mean '{close}'?" if close and close != wrong else ''
        super().error(message + hint)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed, 2 usage or config, 3 no usable checkpoint."""
    args = _parse(sys.argv[1:] if argv is None else list(argv))
    try:
        return args.run(args)
    except ConfigError as error:
        return _report_problems(error, getattr(args, 'json', False))
    except CheckpointError as error:
        return _report(error, EXIT_NO_CHECKPOINT)
    except IntarsiaError as error:
        return _report(error, EXIT_FAILED)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAILED


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog='intarsia', description='Trains, evaluates and ships vision models from config files.')
    parser.add_argument('--version', action='version', version=f'intarsia {__version__}')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    wanted = next((a for a in argv if not a.startswith('-')), None)
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=f'{text[0].upper()}{text[1:]}.')
        if name == wanted:
            module = importlib.import_module(f'intarsia.cli.{name.replace("-", "_")}')
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser.parse_args(argv)


def _report(error: Exception, code: int) -> int:
    text = str(error)
    if 'Original Traceback' in text:  # it happened in a worker of the data loader: its last lines say what
        text = text.rpartition(f'{type(error).__name__}: ')[2].strip()
    notes = ''.join(f'\n  {note}' for note in getattr(error, '__notes__', ()))
    print(f'error: {text}{notes}', file=sys.stderr)
    return code


def _report_problems(error: ConfigError, as_json: bool) -> int:
    if as_json:
        print(json.dumps({'ok': False, 'problems': [vars(p) for p in error.problems]}, indent=1))
    count = len(error.problems)
    print(f'error: {count} mistake{"s" if count > 1 else ""} in the config', file=sys.stderr)
    for problem in error.problems:
        print(f'  {problem}', file=sys.stderr)
    about_checkpoints = all(p.path in ('resume_from', 'load_from') for p in error.problems)
    return EXIT_NO_CHECKPOINT if about_checkpoints else EXIT_USAGE


if __name__ == '__main__':
    sys.exit(main())
