"""Going back to good weights in the middle of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from intarsia.core.errors import CheckpointError
from intarsia.engine.stage import Stage
from intarsia.nn.weights import load_state_dict, read_checkpoint

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


def newest_finite(runner: BaseRunner, max_iter: int) -> Path | None:
    """The newest intact checkpoint of a run with finite weights, written after at most ``max_iter`` iterations."""
    last = runner.meta['hook_msgs'].get('last_ckpt')
    folders = {folder for folder in (runner.work_dir, Path(last).parent if last else None) if folder is not None}
    files = [file for folder in folders for kind in ('epoch', 'iter') for file in folder.glob(f'{kind}_*.pth')]
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            content = read_checkpoint(file)
            if int(content['meta']['iter']) <= max_iter and _is_finite(content['state_dict']):
                return file
        except (CheckpointError, KeyError, TypeError):
            continue
    return None


def restore_weights(runner: BaseRunner, file: Path) -> None:
    """Take weights, what hooks keep with them, and the optimizer's state from a checkpoint, and drop all gradients.

    Where the run stands stays, and so do the options of parameter groups (learning rate, ...), which follow from that.

    Raises:
        CheckpointError: The file does not fit.
    """
    content = read_checkpoint(file)
    load_state_dict(runner.model, content['state_dict'])
    saved = content.get('optimizer', {})
    several = runner.optimizer if isinstance(runner.optimizer, dict) else None
    if several is not None:
        for name, optimizer in several.items():
            _restore_state(optimizer, saved.get(name, {}))
    elif runner.optimizer is not None:
        _restore_state(runner.optimizer, saved)
    for parameter in runner.model.parameters():
        parameter.grad = None
    runner.checkpoint = content
    runner.hook_list.call(Stage.AFTER_LOAD_CHECKPOINT, runner)
    runner.checkpoint = {}


def _restore_state(optimizer: Any, saved: Mapping[str, Any]) -> None:
    """Load momenta and the like; the dicts of parameter groups stay the objects they are, for schedules hold them."""
    optimizer.state.clear()
    groups = optimizer.param_groups
    if 'state' in saved:
        optimizer.load_state_dict({'state': saved['state'], 'param_groups': optimizer.state_dict()['param_groups']})
        optimizer.param_groups = groups


def _is_finite(state: Mapping[str, Any]) -> bool:
    tensors = (value for value in state.values() if isinstance(value, torch.Tensor) and value.is_floating_point())
    return all(bool(tensor.isfinite().all()) for tensor in tensors)
