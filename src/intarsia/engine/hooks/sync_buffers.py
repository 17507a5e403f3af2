"""The hook that makes buffers equal in all processes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from intarsia.core.registries import HOOKS
from intarsia.engine.distributed import num_processes
from intarsia.engine.hook import Hook

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Gives every process the mean of all processes' buffers (statistics of batch norm) after every training epoch.

    Args:
        distributed: Whether to do so. Nothing happens in a run of one process anyway.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, distributed: bool = True) -> None:
        self.distributed = distributed

    def after_train_epoch(self, runner: BaseRunner) -> None:
        """Average the buffers."""
        if self.distributed and num_processes() > 1:
            average_buffers(runner.model)


@torch.no_grad()
def average_buffers(model: nn.Module) -> None:
    """Replace all floating point buffers by their means over all processes; integers stay. All processes call it."""
    by_kind: dict[tuple[torch.dtype, torch.device], list[Tensor]] = defaultdict(list)
    for buffer in model.buffers():
        if buffer.is_floating_point():
            by_kind[buffer.dtype, buffer.device].append(buffer)
    for buffers in by_kind.values():
        flat = torch.cat([buffer.flatten() for buffer in buffers])
        torch.distributed.all_reduce(flat)
        flat /= num_processes()
        for buffer, mean in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
            buffer.copy_(mean.view_as(buffer))
