"""What the optimizers of this package share: a step that hands over lists of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer


class ForeachOptimizer(Optimizer):
    """An optimizer that updates all parameters of a group at once, with a few calls for many tensors.

    A subclass implements :meth:`update`.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: Computes the loss and the gradients first, if given.

        Returns:
            What ``closure`` returned, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        clip = self.clip_factor()
        for group in self.param_groups:
            params = [p for p in group['params'] if p.grad is not None]
            grads = [p.grad for p in params]
            if any(grad.is_sparse for grad in grads):
                raise RuntimeError(f'{type(self).__name__} takes no sparse gradients; SparseAdam of torch.optim does')
            if clip is not None and grads:
                grads = list(torch._foreach_mul(grads, clip))
            self.update(group, params, grads)
        return loss

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        """Change the parameters of a group in place.

        Args:
            group: The options. Counts of steps may be kept in it: it is part of the state.
            params: Its parameters that have a gradient; perhaps none.
            grads: Their gradients, clipped; they must not be changed.
        """
        raise NotImplementedError(f'{type(self).__name__} has no update')

    def clip_factor(self) -> Tensor | None:
        """What all gradients are multiplied with, a scalar on their device; None leaves them as they are."""
        return None

    def grad_norm(self) -> Tensor:
        """Norm of all gradients together, on their device."""
        return get_total_norm([p.grad for group in self.param_groups for p in group['params'] if p.grad is not None])

    def moments(self, params: list[Tensor], name: str) -> list[Tensor]:
        """The running averages ``name`` of the parameters, zero at first."""
        for p in params:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        return [self.state[p][name] for p in params]


def check_not_negative(**options: float | None) -> None:
    """Raise a ValueError for the first option below 0."""
    for name, value in options.items():
        if value is not None and value < 0:
            raise ValueError(f'{name} must not be negative, but is {value}')


def check_betas(betas: tuple[float, ...], count: int) -> None:
    """Raise a ValueError unless there are ``count`` betas in [0, 1)."""
    if len(betas) != count or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f'betas must be {count} numbers from 0 to below 1, but are {betas}')
