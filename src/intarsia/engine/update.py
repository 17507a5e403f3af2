"""The update: from a loss to changed weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from intarsia.core.errors import ConfigError, Problem, closest
from intarsia.engine.precision import LossScaler

CLIP_ARGUMENTS = {
    'norm': ('max_norm', 'norm_type', 'error_if_nonfinite', 'foreach'),
    'value': ('clip_value', 'foreach'),
}


class Update:
    """zero_grad, backward, clip, step; over one batch, or over several whose gradients are added up.

    Args:
        grad_clip: Arguments of :func:`torch.nn.utils.clip_grad_norm_`, ``dict(max_norm=35, norm_type=2)``; or, with
            ``type='value'``, of :func:`torch.nn.utils.clip_grad_value_`. None does not clip.
        scaler: Scales the loss, for float16.

    Raises:
        ConfigError: ``grad_clip`` has an entry that its function does not take.
    """

    def __init__(self, grad_clip: Mapping[str, Any] | None = None, scaler: LossScaler | None = None) -> None:
        self.scaler = scaler
        self.grad_clip = dict(grad_clip or {})
        self.clip_type = self.grad_clip.pop('type', 'norm')
        known = CLIP_ARGUMENTS.get(self.clip_type)
        if known is None:
            message = f"grad_clip has the type 'norm' or 'value', not {self.clip_type!r}."
            raise ConfigError(Problem('bad-config', message, 'optimizer_config.grad_clip.type'))
        for name in self.grad_clip.keys() - set(known):
            message = f"grad_clip has no argument '{name}'. It accepts: {', '.join(known)}."
            path = f'optimizer_config.grad_clip.{name}'
            raise ConfigError(Problem('unknown-argument', message, path, suggestion=closest(name, known)))

    def __call__(
        self,
        loss: torch.Tensor,
        optimizers: Iterable[torch.optim.Optimizer],
        model: nn.Module,
        is_first: bool = True,
        is_last: bool = True,
    ) -> torch.Tensor | None:
        """Add the gradients of ``loss``, and make one step of every optimizer when the last have come.

        Args:
            loss: A scalar with a graph.
            optimizers: Their gradients are cleared before the first backward pass.
            model: Whose gradients are clipped.
            is_first: Whether gradients begin anew.
            is_last: Whether the optimizers step.

        Returns:
            The norm of all gradients before clipping, on their device; None without a step or without such a clip.
        """
        if is_first:
            for optimizer in optimizers:
                optimizer.zero_grad()
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        return self._step(list(optimizers), model) if is_last else None

    def _step(self, optimizers: Sequence[torch.optim.Optimizer], model: nn.Module) -> torch.Tensor | None:
        scaler, norm = self.scaler, None
        if self.grad_clip:
            for optimizer in optimizers if scaler is not None else ():
                scaler.unscale(optimizer)  # type: ignore[union-attr]
            norm = self._clip(model)
        for optimizer in optimizers:
            optimizer.step() if scaler is None else scaler.step(optimizer)
        if scaler is not None:
            scaler.update()
        return norm

    def _clip(self, model: nn.Module) -> torch.Tensor | None:
        parameters = [p for p in model.parameters() if p.grad is not None]
        if self.clip_type == 'value':
            nn.utils.clip_grad_value_(parameters, **self.grad_clip)
            return None
        norm = nn.utils.clip_grad_norm_(parameters, **self.grad_clip) if parameters else None
        return norm.full_tensor() if hasattr(norm, 'full_tensor') else norm  # type: ignore[union-attr]  # sharded
