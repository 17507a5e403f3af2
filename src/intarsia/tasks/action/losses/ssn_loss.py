"""The losses of structured segment networks.

Shapes: n proposals (a stream's one after the other: right ones, incomplete ones, background), k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from intarsia.core.registries import LOSSES
from intarsia.tasks.action.proposal_counts import BACKGROUND, INCOMPLETE, POSITIVE, ProposalCounts


def ohem_hinge_loss(pred_nk: Tensor, label_n: Tensor, is_positive: int, ohem_ratio: float, group_size: int) -> Tensor:
    """The sum of the greatest hinge losses of each group of proposals.

    "Training Region-based Object Detectors with Online Hard Example Mining" (Shrivastava et al., 2016,
    arXiv:1604.03540).

    Args:
        pred_nk: Scores, ``(N, K)``.
        label_n: Classes, 1 ... K.
        is_positive: 1 if the score of the class ought to be above 1, -1 if below -1.
        ohem_ratio: Which part of each group counts.
        group_size: Neighbours that are a group.

    Raises:
        ValueError: There are more labels than proposals, or fewer.
    """
    if len(pred_nk) != len(label_n):
        raise ValueError(f'{len(pred_nk)} proposals have {len(label_n)} labels')
    score_n = pred_nk.gather(1, (label_n - 1)[:, None])[:, 0]
    loss_gs = (1 - is_positive * score_n).clamp(min=0).view(-1, group_size)
    return loss_gs.topk(int(group_size * ohem_ratio), dim=1).values.sum()


@LOSSES.register_module()
class SSNLoss(nn.Module):
    """What happens, whether it is complete, and where it begins and ends.

    "Temporal Action Detection with Structured Segment Networks" (Zhao et al., 2017, arXiv:1704.06228).
    """

    def forward(
        self,
        activity_score: Tensor,
        completeness_score: Tensor,
        bbox_pred: Tensor | None,
        proposal_type: Tensor,
        labels: Tensor,
        bbox_targets: Tensor,
        train_cfg: Mapping[str, Any],
    ) -> dict[str, Tensor]:
        """``loss_activity``, ``loss_completeness`` and, with ``bbox_pred``, ``loss_reg``.

        Args:
            activity_score: ``(N, 1 + K)``, the background first.
            completeness_score: ``(N, K)``.
            bbox_pred: ``(N, K, 2)``, how far centre and logarithm of the length are off; or None.
            proposal_type: 0 right, 1 incomplete, 2 background, N of them.
            labels: Classes, 1 ... K; 0 for background.
            bbox_targets: What ``bbox_pred`` should be, N pairs.
            train_cfg: ``ssn.sampler`` says how many proposals of each kind a stream has; ``ssn.loss_weight`` has
                ``comp_loss_weight`` and ``reg_loss_weight``.
        """
        counts, weight = ProposalCounts.of(train_cfg['ssn']['sampler']), train_cfg['ssn']['loss_weight']
        kind_n, label_n = proposal_type.reshape(-1), labels.reshape(-1)
        is_complete_n = kind_n != INCOMPLETE
        is_foreground_n = kind_n != BACKGROUND
        losses = {
            'loss_activity': functional.cross_entropy(activity_score[is_complete_n], label_n[is_complete_n]),
            'loss_completeness': weight['comp_loss_weight']
            * self.completeness_loss(completeness_score[is_foreground_n], label_n[is_foreground_n], counts),
        }
        if bbox_pred is not None:
            is_right_n = kind_n == POSITIVE
            target_p2 = bbox_targets.view(-1, 2)[is_right_n]
            loss = self.regression_loss(bbox_pred[is_right_n], label_n[is_right_n], target_p2)
            losses['loss_reg'] = weight['reg_loss_weight'] * loss
        return losses

    @staticmethod
    def completeness_loss(pred_nk: Tensor, label_n: Tensor, counts: ProposalCounts) -> Tensor:
        """Hinge loss of right proposals, and of the hardest incomplete ones."""
        size, right = counts.positive + counts.incomplete, counts.positive
        pred_gsk, label_gs = pred_nk.view(-1, size, pred_nk.shape[1]), label_n.view(-1, size)
        ratio = right / counts.incomplete
        right_loss = ohem_hinge_loss(pred_gsk[:, :right].flatten(0, 1), label_gs[:, :right].flatten(), 1, 1.0, right)
        incomplete_loss = ohem_hinge_loss(
            pred_gsk[:, right:].flatten(0, 1), label_gs[:, right:].flatten(), -1, ratio, counts.incomplete
        )
        num_groups = len(label_gs)
        return (right_loss + incomplete_loss) / (num_groups * right + int(num_groups * counts.incomplete * ratio))

    @staticmethod
    def regression_loss(pred_pk2: Tensor, label_p: Tensor, target_p2: Tensor) -> Tensor:
        """Smooth L1 loss of the numbers of the true classes."""
        own_p2 = pred_pk2[torch.arange(len(pred_pk2), device=pred_pk2.device), label_p - 1]
        return functional.smooth_l1_loss(own_p2, target_p2) * 2
