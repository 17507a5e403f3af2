"""Seesaw loss for long-tailed classes.

Shapes: n samples, c classes.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import WeightedLoss


@LOSSES.register_module()
class SeesawLoss(WeightedLoss):
    """Cross entropy in which a frequent class pushes a rare one down less, unless the rare one is confused with it.

    "Seesaw Loss for Long-Tailed Instance Segmentation" (Wang et al., 2021, arXiv:2008.10032). The number of samples
    seen of each class is counted in the buffer ``cum_samples``, which checkpoints keep.

    Args:
        use_sigmoid: Must be False; there is only the softmax version.
        p: Exponent of the mitigation factor (ratio of the numbers of samples); 0 turns it off.
        q: Exponent of the compensation factor (ratio of the probabilities); 0 turns it off.
        num_classes: C.
        eps: Least probability that the compensation factor divides by.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        loss_weight: Factor of the result.

    Raises:
        ValueError: ``use_sigmoid`` is True.
    """

    target_kind = 'index'
    cum_samples: Tensor

    def __init__(
        self,
        use_sigmoid: bool = False,
        p: float = 0.8,
        q: float = 2.0,
        num_classes: int = 1000,
        eps: float = 1e-2,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(reduction, loss_weight)
        if use_sigmoid:
            raise ValueError('SeesawLoss: use_sigmoid=True is not defined')
        self.p = p
        self.q = q
        self.num_classes = num_classes
        self.eps = eps
        self.register_buffer('cum_samples', torch.zeros(num_classes))

    def per_element(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss per sample ``(N,)``; counts the samples.

        Args:
            pred: Logits ``(N, C)``.
            target: Class indices, int64 ``(N,)``.

        Raises:
            ValueError: The number of scores is not ``num_classes``.
        """
        if pred.shape[1] != self.num_classes:
            raise ValueError(f'SeesawLoss has num_classes={self.num_classes}, but gets {pred.shape[1]} scores')
        self.cum_samples.index_add_(0, target, torch.ones_like(target, dtype=self.cum_samples.dtype))
        own_n1 = target[:, None]
        log_factor_nc = torch.zeros_like(pred)
        if self.p > 0:
            seen_c = self.cum_samples.clamp(min=1)
            log_factor_nc += self.p * (seen_c / seen_c[own_n1]).clamp(max=1).log()
        if self.q > 0:
            probability_nc = pred.detach().softmax(dim=1)
            own_probability_n1 = probability_nc.gather(1, own_n1).clamp(min=self.eps)
            log_factor_nc += self.q * (probability_nc / own_probability_n1).clamp(min=1).log()
        log_factor_nc.scatter_(1, own_n1, 0)
        return F.cross_entropy(pred + log_factor_nc, target, reduction='none')
