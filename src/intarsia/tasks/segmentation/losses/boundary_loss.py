"""Loss of borders.

Shapes: n images, h rows, w columns.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from intarsia.core.registries import LOSSES


@LOSSES.register_module()
class BoundaryLoss(nn.Module):
    """Binary cross entropy in which all pixels of borders count as much as all others.

    As in "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers" (Xu et al., 2022,
    arXiv:2206.02066).

    Args:
        loss_weight: Factor of the result.
        loss_name: What the result is called in the log.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_boundary') -> None:
        super().__init__()
        self.loss_weight, self.loss_name = loss_weight, loss_name

    def forward(self, bd_pre: Tensor, bd_gt: Tensor) -> Tensor:
        """The mean over all pixels.

        Args:
            bd_pre: Logits ``(N, 1, H, W)``.
            bd_gt: 1 at borders, 0 elsewhere ``(N, H, W)``; pixels with another value do not count.

        Returns:
            A scalar.
        """
        logit_nhw, is_border, is_other = bd_pre[:, 0].float(), bd_gt == 1, bd_gt == 0
        num_borders, num_others = is_border.sum(), is_other.sum()
        weight_nhw = (is_border * num_others + is_other * num_borders) / (num_borders + num_others)
        loss = F.binary_cross_entropy_with_logits(logit_nhw, is_border.to(logit_nhw.dtype), weight_nhw)
        return self.loss_weight * loss
