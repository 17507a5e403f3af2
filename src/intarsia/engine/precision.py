"""What the forward pass computes in, and the scale that keeps small gradients from vanishing in float16."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Literal

import torch

Precision = Literal['fp32', 'bf16', 'fp16']

DTYPES: dict[str, torch.dtype] = {'bf16': torch.bfloat16, 'fp16': torch.float16}


def autocast(precision: Precision, device_type: str) -> contextlib.AbstractContextManager[Any]:
    """The context of a forward pass: matrix products and convolutions in ``precision``, weights stay float32."""
    if precision == 'fp32':
        return contextlib.nullcontext()
    return torch.autocast(device_type, DTYPES[precision])


class LossScaler:
    """Multiplies a loss so that gradients are large enough for float16, and divides them again before the step.

    A step with infinite or undefined gradients is left out (Mixed Precision Training, Micikevicius et al., 2018,
    arXiv:1710.03740).

    Args:
        loss_scale: A number, which stays; ``'dynamic'``; or arguments of :class:`torch.amp.GradScaler`.
    """

    def __init__(self, loss_scale: float | str | Mapping[str, Any] = 'dynamic') -> None:
        if isinstance(loss_scale, str) and loss_scale != 'dynamic':
            raise ValueError(f"loss_scale is a number, 'dynamic' or a dict, not {loss_scale!r}")
        self._fixed = float(loss_scale) if isinstance(loss_scale, (int, float)) else None
        arguments = dict(loss_scale) if isinstance(loss_scale, Mapping) else {}
        if self._fixed is not None:
            arguments['init_scale'] = self._fixed
        self._scaler = torch.amp.GradScaler('cuda' if torch.cuda.is_available() else 'cpu', **arguments)

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        """``loss`` times the scale."""
        return self._scaler.scale(loss)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients of ``optimizer`` by the scale, before they are clipped."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Step, unless a gradient is not finite."""
        self._scaler.step(optimizer)

    def update(self) -> None:
        """Adapt the scale, once every optimizer has stepped."""
        self._scaler.update(self._fixed)

    def state_dict(self) -> dict[str, Any]:
        """Scale and growth counter."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back :meth:`state_dict`."""
        self._scaler.load_state_dict(dict(state))
