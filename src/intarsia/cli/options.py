"""Flags that commands share, spelled and explained once."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intarsia.config.file import ConfigFile

FLAGS: dict[str, dict[str, Any]] = {
    '--cfg-options': dict(nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                          help='change values of the config: optimizer.lr=0.01 data.train.pipeline.0.type=Resize'),
    '--work-dir': dict(metavar='DIR', help='folder of everything the run writes (default: ./work_dirs/CONFIG_STEM)'),
    '--resume-from': dict(metavar='CHECKPOINT', help='continue the run that wrote this checkpoint'),
    '--auto-resume': dict(action='store_true', help='continue from the newest intact checkpoint of the work directory'),
    '--load-from': dict(metavar='CHECKPOINT', help='start from these weights'),
    '--seed': dict(type=int, metavar='N', help='seed of all randomness (default: drawn and logged)'),
    '--deterministic': dict(action='store_true', help='use only deterministic algorithms'),
    '--device': dict(metavar='DEVICE', help='cpu, cuda, cuda:1, mps (default: the best there is)'),
    '--launcher': dict(choices=['none', 'pytorch', 'slurm'],
                       help='who started the processes (default: torchrun is recognized)'),
    '--auto-scale-lr': dict(action='store_true', help='scale the learning rate as auto_scale_lr of the config says'),
    '--no-validate': dict(action='store_true', help='do not evaluate during training'),
    '--no-pretrained': dict(action='store_true', help='do not load weights that the model names'),
    '--json': dict(action='store_true', help='print one JSON document to stdout, everything else to stderr'),
}  # fmt: skip

FIELDS = {
    'work_dir': 'work_dir', 'resume_from': 'resume_from', 'auto_resume': 'auto_resume', 'load_from': 'load_from',
    'seed': 'seed', 'deterministic': 'deterministic', 'device': 'device', 'launcher': 'launcher',
    'auto_scale_lr': 'auto_scale_lr.enable',
}  # fmt: skip
"""Flags that set a field of the config."""


def add_flags(parser: argparse.ArgumentParser, *names: str) -> None:
    """Give a command some of the shared flags."""
    for name in names:
        parser.add_argument(name, **FLAGS[name])


def add_config(parser: argparse.ArgumentParser) -> None:
    """Give a command its CONFIG argument."""
    parser.add_argument('config', metavar='CONFIG', help='config file, or intarsia::PATH for a shipped recipe')
    parser.add_argument('--untrusted', action='store_true', help='read the config as data: refuse imports and calls')


def read_config(args: argparse.Namespace) -> ConfigFile:
    """The config of a command, with ``--cfg-options`` and the other flags applied."""
    from intarsia.config.dialects.door import house_form
    from intarsia.config.file import load_config  # here, for a --help that answers at once
    from intarsia.config.origins import Origin
    from intarsia.config.override import apply_options, set_value
    from intarsia.config.untrusted import refuse_imports

    config = load_config(args.config, raw=getattr(args, 'raw', False), trusted=not args.untrusted)
    if args.untrusted:
        refuse_imports(config)
    apply_options(config, args.cfg_options)
    if not getattr(args, 'raw', False):
        config = house_form(config)
    for flag, name in FIELDS.items():
        value = getattr(args, flag, None)
        if value is not None and value is not False:
            set_value(config, name, value, Origin(f'--{flag.replace("_", "-")}', None))
    return config
