"""Mean squared error of the joints that are worst.

Shapes: n people, k joints, h rows, w columns.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import PairLoss


@LOSSES.register_module(name=['JointsOHKMMSELoss', 'KeypointOHKMMSELoss'])
class JointsOHKMMSELoss(PairLoss):
    """Squared error of heat maps, of the ``topk`` joints of each person for which it is greatest.

    "Cascaded Pyramid Network for Multi-Person Pose Estimation" (Chen et al., 2018, arXiv:1711.07319): online hard
    keypoint mining.

    Args:
        use_target_weight: Whether joints count as their weights say.
        topk: How many joints of a person count.
        loss_weight: Factor of the result.

    Raises:
        ValueError: ``topk`` is not positive.
    """

    def __init__(self, use_target_weight: bool = False, topk: int = 8, loss_weight: float = 1.0) -> None:
        super().__init__(use_target_weight, loss_weight)
        if topk < 1:
            raise ValueError(f'{type(self).__name__}: topk is a number of joints, not {topk}')
        self.topk = topk

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over people and their ``topk`` joints."""
        if output.shape[1] < self.topk:
            raise ValueError(f'{type(self).__name__}: topk={self.topk}, but there are {output.shape[1]} joints')
        error_nk = F.mse_loss(output, target, reduction='none').flatten(2).mean(2)
        return error_nk.topk(self.topk, dim=1).values.mean()
