"""Losses that say how much is missing to a similarity of 1: of boxes, of poses.

Shapes: n people, k joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import Reduction, weight_reduce_loss
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.losses.pose_loss import at_least_float32, check_pair, fit_weight

Mode = Literal['linear', 'square', 'log']


class SimilarityLoss(nn.Module):
    """Base of losses of a similarity s, 0 ... 1.

    Args:
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        mode: ``'linear'`` is 1 - s, ``'square'`` 1 - s^2, ``'log'`` -log s.
        eps: What keeps logarithms and quotients finite.
        loss_weight: Factor of the result.

    Raises:
        ValueError: The mode is unknown.
    """

    def __init__(self, reduction: Reduction, mode: Mode, eps: float, loss_weight: float) -> None:
        super().__init__()
        if mode not in ('linear', 'square', 'log'):
            raise ValueError(f"{type(self).__name__}: mode is 'linear', 'square' or 'log', not {mode!r}")
        self.reduction, self.mode, self.eps, self.loss_weight = reduction, mode, eps, loss_weight

    def missing(self, similarity_n: Tensor) -> Tensor:
        """What is missing to 1."""
        if self.mode == 'log':
            return -torch.log(similarity_n)
        return 1 - (similarity_n if self.mode == 'linear' else similarity_n**2)


@LOSSES.register_module()
class IoULoss(SimilarityLoss):
    """What is missing to the intersection of two boxes being their union.

    "UnitBox: An Advanced Object Detection Network" (Yu et al., 2016, arXiv:1608.01471).

    Args:
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        mode: Of the quotient q: ``'linear'`` is 1 - q, ``'square'`` 1 - q^2, ``'log'`` -log q.
        eps: Least quotient.
        loss_weight: Factor of the result.
    """

    def __init__(
        self, reduction: Reduction = 'mean', mode: Mode = 'log', eps: float = 1e-16, loss_weight: float = 1.0
    ) -> None:
        super().__init__(reduction, mode, eps, loss_weight)

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss of boxes ``(N, 4)``: left, top, right, bottom; weights ``(N,)``."""
        check_pair(self, output, target)
        output = at_least_float32(output)
        size_n2 = torch.minimum(output[:, 2:], target[:, 2:]) - torch.maximum(output[:, :2], target[:, :2])
        common_n = size_n2.clamp(min=0).prod(1)
        areas_n = (output[:, 2:] - output[:, :2]).prod(1) + (target[:, 2:] - target[:, :2]).prod(1)
        quotient_n = (common_n / (areas_n - common_n).clamp(min=1e-6)).clamp(min=self.eps)
        return self.loss_weight * weight_reduce_loss(self.missing(quotient_n), target_weight, self.reduction)


@LOSSES.register_module()
class OKSLoss(SimilarityLoss):
    """What is missing to the object keypoint similarity of a pose being 1.

    "YOLO-Pose: Enhancing YOLO for Multi Person Pose Estimation Using Object Keypoint Similarity Loss" (Maji et al.,
    2022, arXiv:2204.06806).

    Args:
        metainfo: The name of a data set, or of a file with that name, of which sigmas are taken.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        mode: Of the similarity s: ``'linear'`` is 1 - s, ``'square'`` 1 - s^2, ``'log'`` -log s.
        eps: Least size and least sum of weights.
        norm_target_weight: The weights of a person add up to 1; otherwise they are divided by K.
        loss_weight: Factor of the result.
        sigmas: How exactly people can place each joint, K numbers; instead of ``metainfo``.
    """

    sigmas: Tensor | None

    def __init__(
        self,
        metainfo: str | None = None,
        reduction: Reduction = 'mean',
        mode: Mode = 'linear',
        eps: float = 1e-8,
        norm_target_weight: bool = False,
        loss_weight: float = 1.0,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction, mode, eps, loss_weight)
        self.norm_target_weight = norm_target_weight
        values = sigmas or (DatasetInfo.of(Path(metainfo).stem).sigmas if metainfo is not None else ())
        self.register_buffer('sigmas', torch.tensor(values) if values else None)

    def forward(
        self, output: Tensor, target: Tensor, target_weight: Tensor | None = None, areas: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of joints ``(N, K, 2)``; weights ``(N, K)``, ``areas`` of the people in pixels ``(N,)``."""
        check_pair(self, output, target)
        off_nk = torch.linalg.vector_norm(at_least_float32(output) - target, dim=-1)
        if areas is not None:
            off_nk = off_nk / areas.sqrt().clamp(min=self.eps)[..., None]
        if self.sigmas is not None:
            off_nk = off_nk / (2 * self.sigmas)
        similarity_nk = torch.exp(-(off_nk**2) / 2)
        if target_weight is not None:
            similarity_nk = similarity_nk * self._shares(fit_weight(target_weight, similarity_nk))
        return self.loss_weight * weight_reduce_loss(self.missing(similarity_nk.sum(-1)), None, self.reduction)

    def _shares(self, weight_nk: Tensor) -> Tensor:
        if self.norm_target_weight:
            return weight_nk / weight_nk.sum(-1, keepdim=True).clamp(min=self.eps)
        return weight_nk / weight_nk.shape[-1]
