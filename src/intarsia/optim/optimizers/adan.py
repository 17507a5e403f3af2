"""Adan: Adam with Nesterov's momentum, made of differences of gradients."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from intarsia.core.registries import OPTIMIZERS
from intarsia.optim.optimizers.foreach import ForeachOptimizer, check_betas, check_not_negative


@OPTIMIZERS.register_module()
class Adan(ForeachOptimizer):
    """Adaptive Nesterov momentum.

    "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models" (Xie et al., 2022,
    arXiv:2208.06677). The first gradient of a parameter has no difference to one before it: it counts as 0.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        betas: How much of the averages of the gradient, of the difference of two gradients, and of the square of both
            together is kept in a step; the paper writes 1 - beta.
        eps: Added to the root of the averaged square.
        weight_decay: Share of the weights that is taken away in a step, times the learning rate.
        max_grad_norm: Gradients are scaled down to this norm of all together; 0 leaves them.
        no_prox: Shrink the weights before the update, as AdamW does; else after it, by division.
        foreach: Update all parameters of a group at once: faster, with more memory for a moment.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        max_grad_norm: float = 0.0,
        no_prox: bool = False,
        foreach: bool = True,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay, max_grad_norm=max_grad_norm)
        check_betas(betas, 3)
        options = dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, max_grad_norm=max_grad_norm, no_prox=no_prox,
            foreach=foreach,
        )  # fmt: skip
        super().__init__(params, options)

    def clip_factor(self) -> Tensor | None:
        """Brings the norm of all gradients down to ``max_grad_norm``."""
        limit = self.defaults['max_grad_norm']
        return (limit / (self.grad_norm() + self.defaults['eps'])).clamp(max=1.0) if limit > 0 else None

    @torch.no_grad()
    def restart_opt(self) -> None:
        """Forget all averages, as if training began anew."""
        for group in self.param_groups:
            group['step'] = 0
        self.state.clear()

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        """One step of the parameters of a group."""
        group['step'] = group.get('step', 0) + 1
        if group['foreach'] and params:
            self._update(group, params, grads)
        elif not group['foreach']:
            for param, grad in zip(params, grads, strict=True):
                self._update(group, [param], [grad])

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        beta1, beta2, beta3 = group['betas']
        correction1, correction2, correction3 = (1 - beta ** group['step'] for beta in group['betas'])
        lr, shrink = group['lr'], group['lr'] * group['weight_decay']
        differences = self._differences(params, grads)
        ahead = torch._foreach_add(grads, differences, alpha=beta2)

        mean, difference = self.moments(params, 'exp_avg'), self.moments(params, 'exp_avg_diff')
        square = self.moments(params, 'exp_avg_sq')
        torch._foreach_mul_(mean, beta1)
        torch._foreach_add_(mean, grads, alpha=1 - beta1)
        torch._foreach_mul_(difference, beta2)
        torch._foreach_add_(difference, differences, alpha=1 - beta2)
        torch._foreach_mul_(square, beta3)
        torch._foreach_addcmul_(square, ahead, ahead, value=1 - beta3)

        root = torch._foreach_sqrt(square)
        torch._foreach_div_(root, math.sqrt(correction3))
        torch._foreach_add_(root, group['eps'])
        updates = torch._foreach_div(mean, correction1)
        torch._foreach_add_(updates, difference, alpha=beta2 / correction2)
        torch._foreach_div_(updates, root)
        if group['no_prox']:
            torch._foreach_mul_(params, 1 - shrink)
        torch._foreach_add_(params, updates, alpha=-lr)
        if not group['no_prox']:
            torch._foreach_div_(params, 1 + shrink)

    def _differences(self, params: list[Tensor], grads: list[Tensor]) -> Any:
        """Gradients less those of the last step, which they replace."""
        for p, grad in zip(params, grads, strict=True):
            if 'pre_grad' not in self.state[p]:
                self.state[p]['pre_grad'] = grad.clone()
        before = [self.state[p]['pre_grad'] for p in params]
        differences = torch._foreach_sub(grads, before)
        for each, grad in zip(before, grads, strict=True):  # _foreach_copy_ takes no shards
            each.copy_(grad)
        return differences
