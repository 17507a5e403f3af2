"""The hook that updates the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.engine.update import Update

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class OptimizerHook(Hook):
    """Updates the weights after every training iteration; seat ABOVE_NORMAL.

    Args:
        grad_clip: Arguments of ``clip_grad_norm_``; the norm is logged as ``grad_norm``.
    """

    def __init__(self, grad_clip: Mapping[str, Any] | None = None) -> None:
        self.update = Update(grad_clip)

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Backward and step."""
        optimizer = runner.optimizer
        optimizers = optimizer.values() if isinstance(optimizer, dict) else (optimizer,)
        norm = self.update(runner.outputs['loss'], optimizers, runner.model)  # type: ignore[arg-type]
        if norm is not None:
            runner.log_buffer.update({'grad_norm': norm.detach()}, runner.outputs['num_samples'])
