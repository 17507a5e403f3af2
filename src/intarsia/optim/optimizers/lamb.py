"""Lamb: Adam whose steps are as long as the weights are large, layer by layer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from intarsia.core.registries import OPTIMIZERS
from intarsia.optim.optimizers.foreach import ForeachOptimizer, check_betas, check_not_negative


@OPTIMIZERS.register_module()
class Lamb(ForeachOptimizer):
    """Adam with a rate for each layer, for large batches.

    "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes" (You et al., 2019, arXiv:1904.00962), in
    the variant that clips the norm of all gradients first, as NVIDIA's FusedLAMB does.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        bias_correction: Whether young averages are scaled up, as in Adam.
        betas: How much of the averages of the gradient and of its square is kept in a step.
        eps: Added to the root of the averaged square.
        weight_decay: Share of the weights that is added to the update.
        grad_averaging: Whether the gradient enters its average with 1 - beta, or whole.
        max_grad_norm: Gradients are scaled down to this norm of all together; None leaves them.
        trust_clip: Whether the factor of a layer is at most 1 ("LAMBC").
        always_adapt: Whether parameters without weight decay have a factor of their own too.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        bias_correction: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        grad_averaging: bool = True,
        max_grad_norm: float | None = 1.0,
        trust_clip: bool = False,
        always_adapt: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay, max_grad_norm=max_grad_norm)
        check_betas(betas, 2)
        options = dict(
            lr=lr, bias_correction=bias_correction, betas=betas, eps=eps, weight_decay=weight_decay,
            grad_averaging=grad_averaging, max_grad_norm=max_grad_norm, trust_clip=trust_clip,
            always_adapt=always_adapt,
        )  # fmt: skip
        super().__init__(params, options)

    def clip_factor(self) -> Tensor | None:
        """Brings the norm of all gradients down to ``max_grad_norm``."""
        limit = self.defaults['max_grad_norm']
        return None if limit is None else (limit / self.grad_norm()).clamp(max=1.0)

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        """One step of the parameters of a group."""
        group['step'] = step = group.get('step', 0) + 1
        if not params:
            return
        beta1, beta2 = group['betas']
        mean, square = self.moments(params, 'exp_avg'), self.moments(params, 'exp_avg_sq')
        torch._foreach_mul_(mean, beta1)
        torch._foreach_add_(mean, grads, alpha=1 - beta1 if group['grad_averaging'] else 1.0)
        torch._foreach_mul_(square, beta2)
        torch._foreach_addcmul_(square, grads, grads, value=1 - beta2)

        corrected = group['bias_correction']
        root = torch._foreach_sqrt(square)
        torch._foreach_div_(root, math.sqrt(1 - beta2**step) if corrected else 1.0)
        torch._foreach_add_(root, group['eps'])
        updates = torch._foreach_div(mean, 1 - beta1**step if corrected else 1.0)
        torch._foreach_div_(updates, root)
        if group['weight_decay'] != 0:
            torch._foreach_add_(updates, params, alpha=group['weight_decay'])
        if group['weight_decay'] != 0 or group['always_adapt']:
            torch._foreach_mul_(updates, trust_ratios(params, updates, clip=group['trust_clip']))
        torch._foreach_add_(params, updates, alpha=-group['lr'])


def trust_ratios(params: list[Tensor], updates: list[Tensor] | tuple[Tensor, ...], *, clip: bool) -> list[Tensor]:
    """Norm of each parameter over that of its update, a scalar on its device; 1 where either is 0.

    Args:
        params: Parameters of any shapes.
        updates: Tensors of the same shapes.
        clip: Whether a ratio is at most 1.
    """
    ratios = []
    for weight, update in zip(torch._foreach_norm(params), torch._foreach_norm(updates), strict=True):
        ratio = torch.where((weight > 0) & (update > 0), weight / update, 1.0)
        ratios.append(ratio.clamp(max=1.0) if clip else ratio)
    return ratios
