"""Checkpoints of a run: weights, optimizer, and where the run stands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from intarsia.core.errors import CheckpointError
from intarsia.core.version import __version__
from intarsia.engine.stage import Stage
from intarsia.nn.weights import load_state_dict

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


def save_run_state(runner: BaseRunner, file: Path, save_optimizer: bool = True, link_latest: bool = True) -> Path:
    """Write a checkpoint of ``runner``: ``meta``, ``state_dict`` and ``optimizer``, as the older toolboxes read it.

    Args:
        runner: The run.
        file: Where to; a strategy that shards makes a folder of it. It appears whole or not at all.
        save_optimizer: Whether the optimizer's state goes along; a run can only be resumed with it.
        link_latest: Whether ``latest.pth`` (``latest`` for a folder) beside it points to it.
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
    content: dict[str, Any] = {'meta': meta, 'state_dict': runner.strategy.model_state()}
    if save_optimizer and isinstance(runner.optimizer, dict):
        content['optimizer'] = {name: each.state_dict() for name, each in runner.optimizer.items()}
    elif save_optimizer and isinstance(runner.optimizer, torch.optim.Optimizer):
        content['optimizer'] = runner.optimizer.state_dict()
    if save_optimizer:
        content['hooks'] = runner.hook_list.state_dict()
    if save_optimizer and progress.inner_iter:
        content['log_buffer'] = runner.log_buffer.state_dict()
    runner.checkpoint = content
    runner.hook_list.call(Stage.BEFORE_SAVE_CHECKPOINT, runner)
    runner.strategy.write_checkpoint(runner.checkpoint, file, link_latest)
    runner.checkpoint = {}
    return file


def load_run_state(runner: BaseRunner, file: Path, resume_optimizer: bool = True) -> None:
    """Put ``runner`` where the run that wrote ``file`` was.

    Raises:
        CheckpointError: The file is missing or broken, does not fit, or holds weights only.
    """
    content = runner.strategy.read_checkpoint(file)
    meta = content.get('meta', {})
    if 'state_dict' not in content or 'iter' not in meta:
        raise CheckpointError(f'{file} holds weights only; use load_from instead of resume_from.')
    load_state_dict(runner.strategy.model, content['state_dict'])
    if resume_optimizer:
        if 'optimizer' not in content:
            raise CheckpointError(f'{file} was saved without its optimizer; use load_from instead of resume_from.')
        _load_optimizer(runner.optimizer, content['optimizer'], file)
    runner.epoch, runner.iter = int(meta.get('epoch', 0)), int(meta['iter'])
    runner.inner_iter = int(meta.get('inner_iter', 0))
    runner.meta['hook_msgs'] = dict(meta.get('hook_msgs', {}))
    runner.hook_list.load_state_dict(content.get('hooks', {}))
    runner.log_buffer.load_state_dict(content.get('log_buffer', {}))
    runner.checkpoint = content
    runner.hook_list.call(Stage.AFTER_LOAD_CHECKPOINT, runner)
    runner.checkpoint = {}
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
