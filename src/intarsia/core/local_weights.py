"""Weights that configs name by URL: looked up by file name in one local folder. Nothing is ever downloaded."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit


def checkpoint_folder() -> Path:
    """``$INTARSIA_HOME/checkpoints``, by default ``~/.intarsia/checkpoints``."""
    return Path(os.environ.get('INTARSIA_HOME') or Path.home() / '.intarsia') / 'checkpoints'


def find_local_weights(url: str) -> list[Path]:
    """Files of the checkpoint folder that a URL may mean: its last part, with or without a suffix or a hash."""
    folder, name = checkpoint_folder(), file_name_of(url)
    if (folder / name).is_file():
        return [folder / name]
    pattern = re.compile(re.escape(name) + r'(-[0-9a-f]{8})?\.(pth|pt|safetensors)')
    return sorted(p for p in folder.iterdir() if pattern.fullmatch(p.name)) if folder.is_dir() else []


def file_name_of(url: str) -> str:
    """``'resnet50-0676ba61.pth'`` for ``https://host/path/resnet50-0676ba61.pth``, ``'resnet50'`` for ``torchvision://resnet50``."""
    parts = urlsplit(url)
    return PurePosixPath(parts.path).name or parts.netloc


def missing_weights(url: str) -> str:
    """The sentence that says where the file should be put."""
    name = file_name_of(url)
    place = checkpoint_folder() / (name if PurePosixPath(name).suffix else f'{name}.pth')
    return (
        f'the weights {url} are not on this machine, and nothing is downloaded. '
        f'Put the file at {place}, or leave them out with --no-pretrained.'
    )
