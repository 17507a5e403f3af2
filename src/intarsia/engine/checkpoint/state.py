"""Checkpoints of a run: weights, optimizer, and where the run stands."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from intarsia.core.errors import CheckpointError
from intarsia.core.version import __version__
from intarsia.nn.weights import load_state_dict, read_checkpoint

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

LATEST = 'latest.pth'


def save_run_state(runner: BaseRunner, file: Path, save_optimizer: bool = True, link_latest: bool = True) -> Path:
    """Write a checkpoint of ``runner``: ``meta``, ``state_dict`` and ``optimizer``, as the older toolboxes read it.

    Args:
        runner: The run.
        file: Where to. It appears whole or not at all.
        save_optimizer: Whether the optimizer's state goes along; a run can only be resumed with it.
        link_latest: Whether ``latest.pth`` beside it points to it.
    """
    progress = runner.progress
    meta = {
        **runner.meta,
        'epoch': progress.epoch,
        'iter': progress.iter,
        'inner_iter': progress.inner_iter,
        'seed': runner.seed,
        'intarsia_version': __version__,
        'time': time.asctime(),
    }
    content: dict[str, Any] = {'meta': meta, 'state_dict': _cpu(runner.model.state_dict())}
    if save_optimizer and isinstance(runner.optimizer, dict):
        content['optimizer'] = {name: each.state_dict() for name, each in runner.optimizer.items()}
    elif save_optimizer and isinstance(runner.optimizer, torch.optim.Optimizer):
        content['optimizer'] = runner.optimizer.state_dict()
    write_atomically(content, file)
    if link_latest:
        _link(file.parent / LATEST, file.name)
    return file


def load_run_state(runner: BaseRunner, file: Path, resume_optimizer: bool = True) -> None:
    """Put ``runner`` where the run that wrote ``file`` was.

    Raises:
        CheckpointError: The file is missing or broken, does not fit, or holds weights only.
    """
    content = read_checkpoint(file, map_location='cpu')
    meta = content.get('meta', {})
    if 'state_dict' not in content or 'iter' not in meta:
        raise CheckpointError(f'{file} holds weights only; use load_from instead of resume_from.')
    load_state_dict(runner.model, content['state_dict'])
    if resume_optimizer:
        if 'optimizer' not in content:
            raise CheckpointError(f'{file} was saved without its optimizer; use load_from instead of resume_from.')
        _load_optimizer(runner.optimizer, content['optimizer'], file)
    runner.epoch, runner.iter = int(meta.get('epoch', 0)), int(meta['iter'])
    runner.inner_iter = int(meta.get('inner_iter', 0))
    runner.meta['hook_msgs'] = dict(meta.get('hook_msgs', {}))
    runner.logger.info(f'resumed {file}: epoch {runner.epoch}, iteration {runner.iter}')


def _load_optimizer(optimizer: Any, state: Mapping[str, Any], file: Path) -> None:
    try:
        if isinstance(optimizer, dict):
            for name, each in optimizer.items():
                each.load_state_dict(state[name])
        elif optimizer is not None:
            optimizer.load_state_dict(dict(state))
    except (KeyError, ValueError) as error:
        raise CheckpointError(f'the optimizer in {file} does not fit: {error}') from error


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
    finally:
        temporary.unlink(missing_ok=True)


def _link(link: Path, target: str) -> None:
    temporary = link.with_name(f'.{link.name}.{os.getpid()}')
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def _cpu(state: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.detach().cpu() if isinstance(v, torch.Tensor) else v for k, v in state.items()}


def find_newest(work_dir: Path) -> Path | None:
    """The newest intact ``epoch_N.pth`` or ``iter_N.pth`` of a work directory, by its iteration."""
    candidates: list[tuple[int, Path]] = []
    for file in [*work_dir.glob('epoch_*.pth'), *work_dir.glob('iter_*.pth')]:
        try:
            candidates.append((int(read_checkpoint(file)['meta']['iter']), file))
        except (CheckpointError, KeyError, TypeError):
            continue
    return max(candidates)[1] if candidates else None
