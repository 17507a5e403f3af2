"""Cross entropy of class indices, of soft labels, and per class.

Shapes: n samples, c classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import WeightedLoss, optional_tensor


def soft_cross_entropy(score_nc: Tensor, target_nc: Tensor, class_weight_c: Tensor | None = None) -> Tensor:
    """Cross entropy between a distribution over classes and ``softmax(score_nc)``.

    Args:
        score_nc: Logits.
        target_nc: Probability per class, each row adding up to 1.
        class_weight_c: Factor per class.

    Returns:
        Loss per sample ``(N,)``.
    """
    loss_nc = -target_nc * F.log_softmax(score_nc, dim=-1)
    if class_weight_c is not None:
        loss_nc = loss_nc * class_weight_c
    return loss_nc.sum(dim=-1)


@LOSSES.register_module()
class CrossEntropyLoss(WeightedLoss):
    """Cross entropy with logits.

    Args:
        use_sigmoid: Treat every class as a yes-or-no question (binary cross entropy); targets are scores ``(N, C)``.
        use_soft: Targets are distributions ``(N, C)``, as mixup makes them.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. The mean divides by the number of samples (with
            ``use_sigmoid`` of elements), not by the sum of the class weights.
        loss_weight: Factor of the result.
        class_weight: Factor per class, C numbers.
        pos_weight: Factor of the positive term per class, one number or C; for ``use_sigmoid``.

    Raises:
        ValueError: Both ``use_sigmoid`` and ``use_soft``.
    """

    class_weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_soft: bool = False,
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        pos_weight: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction, loss_weight)
        if use_sigmoid and use_soft:
            raise ValueError('CrossEntropyLoss: use_sigmoid and use_soft exclude each other')
        self.use_sigmoid = use_sigmoid
        self.use_soft = use_soft
        self.target_kind = 'score' if use_sigmoid or use_soft else 'index'
        self.register_buffer('class_weight', optional_tensor(class_weight), persistent=False)
        self.register_buffer('pos_weight', optional_tensor(pos_weight), persistent=False)

    def per_element(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss per sample ``(N,)``, with ``use_sigmoid`` per element ``(N, C)``.

        Args:
            pred: Logits ``(N, C)``.
            target: int64 ``(N,)`` or a distribution ``(N, C)``; with ``use_sigmoid`` or ``use_soft`` scores ``(N, C)``.
        """
        if self.use_sigmoid:
            return F.binary_cross_entropy_with_logits(
                pred, target.to(pred.dtype), self.class_weight, pos_weight=self.pos_weight, reduction='none'
            )
        if self.use_soft:
            return soft_cross_entropy(pred, target, self.class_weight)
        return F.cross_entropy(pred, target, self.class_weight, reduction='none')
