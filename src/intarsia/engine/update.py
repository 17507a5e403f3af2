"""The update: from a loss to changed weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


class Update:
    """zero_grad, backward, clip, step.

    Args:
        grad_clip: Arguments of :func:`torch.nn.utils.clip_grad_norm_`, ``dict(max_norm=35, norm_type=2)``; None does
            not clip.
    """

    def __init__(self, grad_clip: Mapping[str, Any] | None = None) -> None:
        self.grad_clip = dict(grad_clip) if grad_clip else None

    def __call__(
        self, loss: torch.Tensor, optimizers: Iterable[torch.optim.Optimizer], model: nn.Module
    ) -> torch.Tensor | None:
        """Make one step of every optimizer.

        Args:
            loss: A scalar with a graph.
            optimizers: Their gradients are cleared before the backward pass.
            model: Whose gradients are clipped.

        Returns:
            The norm of all gradients before clipping, on their device; None without clipping.
        """
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        norm = None
        if self.grad_clip is not None:
            parameters = [p for p in model.parameters() if p.grad is not None]
            norm = nn.utils.clip_grad_norm_(parameters, **self.grad_clip) if parameters else None
        for optimizer in optimizers:
            optimizer.step()
        return norm
