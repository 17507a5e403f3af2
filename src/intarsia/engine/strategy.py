"""How a training step runs: in one process, or in several with copies of the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from intarsia.engine.checkpoint import files
from intarsia.engine.distributed import is_first
from intarsia.engine.precision import Precision, autocast


class Strategy:
    """Runs training steps in this process alone, and is what other strategies start from.

    Args:
        model: With ``train_step`` and ``val_step``.
        precision: What its forward pass computes in.
        compile: Arguments of :func:`torch.compile`; None compiles nothing.

    Attributes:
        train_step: ``(batch, optimizer) -> outputs``; the model's own if nothing is added to it.
        val_step: The same for validation losses.
        needs_all_gradients: Whether a parameter that takes no part in a loss makes the next step wait for ever.
        checkpoint_suffix: What names of checkpoints end with.
    """

    needs_all_gradients = False
    checkpoint_suffix = '.pth'

    def __init__(self, model: Any, precision: Precision = 'fp32', compile: Mapping[str, Any] | None = None) -> None:
        self.model = model
        self.precision = precision
        self.device_type = next((p.device.type for p in model.parameters()), 'cpu')
        train_step = getattr(model, 'train_step', None)
        self.train_step: Any = train_step if compile is None else torch.compile(train_step, **compile)
        self.val_step: Any = getattr(model, 'val_step', None)
        if precision != 'fp32':
            self.train_step = cast(self.train_step, precision, self.device_type)
            self.val_step = cast(self.val_step, precision, self.device_type)

    def sync_gradients(self, enabled: bool) -> None:
        """Whether the next backward pass shares its gradients with other processes."""

    def before_evaluation(self) -> None:
        """Make what is not trained, such as the statistics of norm layers, the same in all processes."""

    # ------------------------------------------------------------------ checkpoints; all processes call these

    def model_state(self) -> dict[str, Any]:
        """The ``state_dict`` of the model as checkpoints hold it: here whole, on the CPU."""
        return {k: v.detach().cpu() if isinstance(v, torch.Tensor) else v for k, v in self.model.state_dict().items()}

    def write_checkpoint(self, content: Mapping[str, Any], name: Path, link_latest: bool) -> None:
        """Write a checkpoint, which appears whole or not at all, and have ``latest`` point to it if wanted."""
        if is_first():
            files.write_atomically(content, name)
            if link_latest:
                files.point_latest_to(name)

    def read_checkpoint(self, name: Path) -> dict[str, Any]:
        """Read a checkpoint that this strategy or another one has written."""
        return files.read_run(name)

    def remove_checkpoint(self, name: Path) -> None:
        """Delete one that a newer one has replaced."""
        if is_first():
            files.remove(name)

    def finish(self) -> None:
        """Wait for what is written in the background."""


def cast(step: Any, precision: Precision, device_type: str) -> Any:
    """``step``, computed in ``precision``."""

    def cast_step(*args: Any) -> Any:
        with autocast(precision, device_type):
            return step(*args)

    return cast_step


def share_buffers(model: nn.Module) -> None:
    """Give all processes the buffers of the first."""
    for buffer in model.buffers():
        torch.distributed.broadcast(buffer, src=0)


class DataParallel(Strategy):
    """Every process has a copy of the model and a part of the batch; gradients are averaged over the processes.

    The step goes through :class:`torch.nn.parallel.DistributedDataParallel`; the model itself stays as it is, for
    hooks and checkpoints.

    Args:
        model: On its device, equal in all processes or made so here.
        precision: As in :class:`Strategy`.
        compile: The same.
        find_unused_parameters: Let parameters take no part in a loss.
    """

    def __init__(
        self,
        model: Any,
        precision: Precision = 'fp32',
        compile: Mapping[str, Any] | None = None,
        find_unused_parameters: bool = False,
    ) -> None:
        super().__init__(model, precision, compile)
        self.needs_all_gradients = not find_unused_parameters
        device = next(model.parameters()).device
        ids = [device.index] if device.type == 'cuda' else None
        step = _Step(model, self.train_step)
        self.replica = nn.parallel.DistributedDataParallel(
            step, device_ids=ids, find_unused_parameters=find_unused_parameters
        )
        self.train_step = self.replica

    def sync_gradients(self, enabled: bool) -> None:
        """As ``DistributedDataParallel.no_sync`` does."""
        self.replica.require_backward_grad_sync = enabled

    def before_evaluation(self) -> None:
        """Take the buffers of the first process."""
        share_buffers(self.model)


class _Step(nn.Module):
    """A training step as a module, for a wrapper to call."""

    def __init__(self, model: nn.Module, step: Any) -> None:
        super().__init__()
        self.model = model
        self.step = step

    def forward(self, batch: Any, optimizer: Any) -> dict[str, Any]:
        """What ``train_step`` gives."""
        return self.step(batch, optimizer)
