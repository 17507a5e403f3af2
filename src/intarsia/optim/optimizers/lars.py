"""LARS: SGD whose steps are as long as the weights are large, layer by layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from intarsia.core.registries import OPTIMIZERS
from intarsia.optim.optimizers.foreach import ForeachOptimizer, check_not_negative


@OPTIMIZERS.register_module()
class LARS(ForeachOptimizer):
    """SGD with a rate for each layer, for large batches.

    "Large Batch Training of Convolutional Networks" (You et al., 2017, arXiv:1708.03888).

    A group of parameters with ``lars_exclude=True`` is trained by plain SGD; in a config it is an entry of
    ``custom_keys``: ``paramwise_cfg=dict(custom_keys={'bn': dict(decay_mult=0, lars_exclude=True)})``.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        momentum: How much of the last update is made again.
        weight_decay: Share of the weights that is added to the gradient.
        dampening: Share of a gradient that is kept out of the momentum.
        eta: How long a step is, relative to the weights of its layer.
        nesterov: Nesterov's momentum.
        eps: Added to the norm that is divided by.

    Raises:
        ValueError: A value is out of range, or Nesterov's momentum is wanted without momentum or with dampening.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        momentum: float = 0,
        weight_decay: float = 0,
        dampening: float = 0,
        eta: float = 0.001,
        nesterov: bool = False,
        eps: float = 1e-8,
    ) -> None:
        check_not_negative(lr=lr, momentum=momentum, weight_decay=weight_decay, eta=eta, eps=eps)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError('nesterov needs a momentum above 0 and no dampening')
        self.eps = eps  # not an option of the groups, so that state dicts of the older toolboxes fit
        options = dict(
            lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov, eta=eta
        )
        super().__init__(params, options)

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        """One step of the parameters of a group."""
        if not params:
            return
        updates = torch._foreach_add(grads, params, alpha=group['weight_decay'])
        if not group.get('lars_exclude', False):
            torch._foreach_mul_(updates, self._local_rates(group, params, grads))
        torch._foreach_mul_(updates, group['lr'])
        if group['momentum'] != 0:
            updates = self._with_momentum(group, params, updates)
        torch._foreach_sub_(params, updates)

    def _local_rates(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
        """The factor of each layer, a scalar on its device; 1 where weights or gradients are 0."""
        rates = []
        for weight, grad in zip(torch._foreach_norm(params), torch._foreach_norm(grads), strict=True):
            rate = group['eta'] * weight / (grad + group['weight_decay'] * weight + self.eps)
            rates.append(torch.where((weight > 0) & (grad > 0), rate, 1.0))
        return rates

    def _with_momentum(self, group: dict[str, Any], params: list[Tensor], updates: Any) -> Any:
        """What is subtracted: rates are part of the momentum, unlike in :class:`torch.optim.SGD`."""
        fresh = ['momentum_buffer' not in self.state[p] for p in params]
        buffers = self.moments(params, 'momentum_buffer')
        torch._foreach_mul_(buffers, group['momentum'])
        # the first update enters the momentum whole
        shares = [1.0 if is_fresh else 1.0 - group['dampening'] for is_fresh in fresh]
        torch._foreach_add_(buffers, updates if group['dampening'] == 0 else torch._foreach_mul(updates, shares))
        return torch._foreach_add(updates, buffers, alpha=group['momentum']) if group['nesterov'] else buffers
