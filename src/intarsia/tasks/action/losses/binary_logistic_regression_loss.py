"""Logistic loss of scores of positions, both classes weighing the same."""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.core.registries import LOSSES


def binary_logistic_regression_loss(
    reg_score: Tensor,
    label: Tensor,
    threshold: float = 0.5,
    ratio_range: tuple[float, float] = (1.05, 21),
    eps: float = 1e-5,
) -> Tensor:
    """Weighted logistic loss, a scalar; see :class:`BinaryLogisticRegressionLoss`."""
    is_positive = (label > threshold).to(reg_score.dtype)
    ratio = (label.numel() / is_positive.sum().clamp(min=1)).clamp(*ratio_range)
    positive = 0.5 * ratio * is_positive * (reg_score + eps).log()
    negative = 0.5 * ratio / (ratio - 1) * (1 - is_positive) * (1 - reg_score + eps).log()
    return -(positive + negative).mean()


@LOSSES.register_module()
class BinaryLogisticRegressionLoss(nn.Module):
    """Logistic loss in which positive and negative positions weigh the same, however rare they are.

    "BSN: Boundary Sensitive Network for Temporal Action Proposal Generation" (Lin et al., 2018, arXiv:1806.02964).
    """

    def forward(
        self,
        reg_score: Tensor,
        label: Tensor,
        threshold: float = 0.5,
        ratio_range: tuple[float, float] = (1.05, 21),
        eps: float = 1e-5,
    ) -> Tensor:
        """A scalar.

        Args:
            reg_score: Scores after the sigmoid, 0 ... 1, any shape.
            label: Overlap with the truth, 0 ... 1, same shape.
            threshold: Labels above are positive.
            ratio_range: Bounds of the number of all positions to that of positive ones.
            eps: Added within logarithms.
        """
        return binary_logistic_regression_loss(reg_score, label, threshold, ratio_range, eps)
