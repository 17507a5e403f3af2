"""Checkpoints on disk: written whole or not at all, found, read and removed. One is a file, or a folder of shards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from intarsia.core.errors import CheckpointError, IntarsiaError
from intarsia.nn.weights import PathLike, find_weights, read_checkpoint

LATEST = 'latest'

RUN_FILE = 'run.pth'
"""File in a folder of shards that holds everything that is not sharded; :mod:`.sharded` explains the rest."""


def write_atomically(content: Any, file: Path) -> None:
    """``torch.save`` to a temporary name beside ``file``, synced to disk, then renamed to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for left_by_a_killed_run in file.parent.glob(f'.{file.name}.*.tmp'):
        left_by_a_killed_run.unlink(missing_ok=True)
    temporary = file.with_name(f'.{file.name}.{os.getpid()}.tmp')
    try:
        with temporary.open('wb') as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise IntarsiaError(f'{file} cannot be written: {error}. What was there before is intact.') from error
    finally:
        temporary.unlink(missing_ok=True)


def point_latest_to(checkpoint: Path) -> None:
    """Make the link ``latest.pth``, or ``latest`` to a folder, beside a checkpoint point to it."""
    link = checkpoint.with_name(LATEST + checkpoint.suffix)
    temporary = link.with_name(f'.{link.name}.{os.getpid()}')
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(checkpoint.name)
    temporary.replace(link)
    other = checkpoint.with_name(LATEST if checkpoint.suffix else f'{LATEST}.pth')
    if other.is_symlink():  # of a run with another strategy, that this one has resumed
        other.unlink()


def remove(checkpoint: Path) -> None:
    """Delete a checkpoint of either kind; nothing happens if there is none."""
    if checkpoint.is_dir():
        shutil.rmtree(checkpoint, ignore_errors=True)
    else:
        checkpoint.unlink(missing_ok=True)


# ---------------------------------------------------------------------- finding and reading


def find_run(name: PathLike) -> Path:
    """The checkpoint of a run by its name: a folder of shards, or what :func:`find_weights` finds.

    Raises:
        CheckpointError: There is none.
    """
    return Path(name) if '://' not in os.fspath(name) and Path(name).is_dir() else find_weights(name)


def read_run(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint of either kind holds, with whole tensors on the CPU.

    Raises:
        CheckpointError: It is missing or broken.
    """
    if checkpoint.is_dir():
        from intarsia.engine.checkpoint import sharded  # here, for it imports half of torch.distributed

        return sharded.read(checkpoint)
    return read_checkpoint(checkpoint)


def read_meta(checkpoint: Path) -> Mapping[str, Any]:
    """The ``meta`` of a checkpoint of either kind."""
    return read_checkpoint(checkpoint / RUN_FILE if checkpoint.is_dir() else checkpoint).get('meta', {})


def find_newest(work_dir: Path) -> Path | None:
    """The newest intact ``epoch_N`` or ``iter_N`` of a work directory, file or folder, by its iteration."""
    candidates: list[tuple[int, Path]] = []
    for kind in ('epoch', 'iter'):
        for checkpoint in [*work_dir.glob(f'{kind}_*.pth'), *work_dir.glob(f'{kind}_*/{RUN_FILE}')]:
            checkpoint = checkpoint.parent if checkpoint.name == RUN_FILE else checkpoint
            try:
                candidates.append((int(_meta_of_intact(checkpoint)['iter']), checkpoint))
            except (CheckpointError, KeyError, TypeError):
                continue
    return max(candidates)[1] if candidates else None


def _meta_of_intact(checkpoint: Path) -> Mapping[str, Any]:
    if checkpoint.is_dir():
        from intarsia.engine.checkpoint import sharded

        sharded.check_intact(checkpoint)
    return read_meta(checkpoint)
