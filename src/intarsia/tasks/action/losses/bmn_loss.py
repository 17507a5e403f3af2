"""The loss of boundary-matching networks.

Shapes: b streams, d lengths and t begins of segments.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intarsia.core.registries import LOSSES
from intarsia.tasks.action.losses.binary_logistic_regression_loss import binary_logistic_regression_loss


@LOSSES.register_module()
class BMNLoss(nn.Module):
    """Loss of begins and ends, and of the confidence map of all segments.

    "BMN: Boundary-Matching Network for Temporal Action Proposal Generation" (Lin et al., 2019, arXiv:1907.09702).
    """

    def forward(
        self,
        pred_bm: Tensor,
        pred_start: Tensor,
        pred_end: Tensor,
        gt_iou_map: Tensor,
        gt_start: Tensor,
        gt_end: Tensor,
        bm_mask: Tensor,
        weight_tem: float = 1.0,
        weight_pem_reg: float = 10.0,
        weight_pem_cls: float = 1.0,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The loss and its three parts: of boundaries, of the IoU map, of the classified map.

        Args:
            pred_bm: Scores of segments, 0 ... 1, ``(B, 2, D, T)``: how much they overlap, whether they are right.
            pred_start: Scores of begins, 0 ... 1, ``(B, T)``.
            pred_end: Scores of ends, 0 ... 1, ``(B, T)``.
            gt_iou_map: IoU of each segment with the nearest true one, ``(B, D, T)``.
            gt_start: Overlap of positions with true begins, ``(B, T)``.
            gt_end: Overlap of positions with true ends, ``(B, T)``.
            bm_mask: Which segments are within the stream, 0 or 1, ``(D, T)``.
            weight_tem: Weight of the first part.
            weight_pem_reg: Weight of the second part.
            weight_pem_cls: Weight of the third part.
        """
        gt_iou_map = gt_iou_map * bm_mask
        reg = self.pem_reg_loss(pred_bm[:, 0], gt_iou_map, bm_mask)
        cls = self.pem_cls_loss(pred_bm[:, 1], gt_iou_map, bm_mask)
        tem = self.tem_loss(pred_start, pred_end, gt_start, gt_end)
        return weight_tem * tem + weight_pem_reg * reg + weight_pem_cls * cls, tem, reg, cls

    @staticmethod
    def tem_loss(pred_start: Tensor, pred_end: Tensor, gt_start: Tensor, gt_end: Tensor) -> Tensor:
        """Logistic loss of begins, plus that of ends."""
        start = binary_logistic_regression_loss(pred_start, gt_start)
        return start + binary_logistic_regression_loss(pred_end, gt_end)

    @staticmethod
    def pem_reg_loss(
        pred_score: Tensor,
        gt_iou_map: Tensor,
        mask: Tensor,
        high_temporal_iou_threshold: float = 0.7,
        low_temporal_iou_threshold: float = 0.3,
    ) -> Tensor:
        """Squared error of the IoU, of about as many segments that fit well, somewhat and badly.

        Of the last two kinds a part is drawn, as large as the first. If a kind has fewer than that, everything counts
        once more, as weights of published models were trained.
        """
        high = gt_iou_map > high_temporal_iou_threshold
        middle = (gt_iou_map <= high_temporal_iou_threshold) & (gt_iou_map > low_temporal_iou_threshold)
        low = (gt_iou_map <= low_temporal_iou_threshold) & (gt_iou_map > 0) & (mask > 0)
        weight = high.float()
        for kind in (middle, low):
            share = high.sum() / kind.sum()
            weight = weight + (kind * torch.rand_like(gt_iou_map) > 1 - share).float()
        error = (weight * (pred_score - gt_iou_map)).square().sum()
        return 0.5 * error / weight.sum().clamp(min=1)

    @staticmethod
    def pem_cls_loss(
        pred_score: Tensor,
        gt_iou_map: Tensor,
        mask: Tensor,
        threshold: float = 0.9,
        ratio_range: tuple[float, float] = (1.05, 21),
        eps: float = 1e-5,
    ) -> Tensor:
        """Logistic loss of whether the IoU is above ``threshold``, both kinds of segments weighing the same."""
        is_positive = (gt_iou_map > threshold).to(pred_score.dtype)
        is_negative = (1 - is_positive) * mask
        num_positive = is_positive.sum().clamp(min=1)
        num_entries = num_positive + is_negative.sum()
        ratio = (num_entries / num_positive).clamp(*ratio_range)
        positive = 0.5 * ratio * (pred_score + eps).log() * is_positive
        negative = 0.5 * ratio / (ratio - 1) * (1 - pred_score + eps).log() * is_negative
        return -(positive + negative).sum() / num_entries
