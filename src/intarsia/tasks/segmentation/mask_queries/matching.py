"""Which query answers for which class of an image.

Shape suffixes: q queries, m masks of the image, k classes and none, l pixels or points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import MODELS, PIXEL_SAMPLERS
from intarsia.models.assignment import assign


class MatchCost(nn.Module):
    """What it costs that a query answers for a mask.

    Args:
        weight: Factor of the cost.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, score_qk: Tensor, label_m: Tensor, logit_ql: Tensor, mask_ml: Tensor) -> Tensor:
        """Costs ``(Q, M)``.

        Args:
            score_qk: Logits of classes of each query.
            label_m: Class of each mask.
            logit_ql: Logits of the mask of each query.
            mask_ml: The masks, 0 ... 1.
        """
        return self.weight * self.cost(score_qk, label_m, logit_ql, mask_ml)

    def cost(self, score_qk: Tensor, label_m: Tensor, logit_ql: Tensor, mask_ml: Tensor) -> Tensor:
        """Costs ``(Q, M)`` before the factor."""
        raise NotImplementedError(f'{type(self).__name__} has no cost')


@MODELS.register_module(name='mmdet.ClassificationCost')
class ClassificationCost(MatchCost):
    """How improbable the class is."""

    def cost(self, score_qk: Tensor, label_m: Tensor, logit_ql: Tensor, mask_ml: Tensor) -> Tensor:
        """Costs ``(Q, M)`` before the factor."""
        return -score_qk.softmax(-1)[:, label_m]


@MODELS.register_module(name='mmdet.CrossEntropyLossCost')
class CrossEntropyLossCost(MatchCost):
    """Binary cross entropy of the masks.

    Args:
        use_sigmoid: Must be True.
        weight: Factor of the cost.

    Raises:
        ValueError: ``use_sigmoid`` is False.
    """

    def __init__(self, use_sigmoid: bool = True, weight: float = 1.0) -> None:
        super().__init__(weight)
        if not use_sigmoid:
            raise ValueError('CrossEntropyLossCost: use_sigmoid must be True')

    def cost(self, score_qk: Tensor, label_m: Tensor, logit_ql: Tensor, mask_ml: Tensor) -> Tensor:
        """Costs ``(Q, M)`` before the factor."""
        inside_ql, outside_ql = F.softplus(-logit_ql), F.softplus(logit_ql)
        return (inside_ql @ mask_ml.T + outside_ql @ (1 - mask_ml).T) / logit_ql.shape[1]


@MODELS.register_module(name='mmdet.FocalLossCost')
class FocalLossCost(MatchCost):
    """Focal loss of the masks, or of the classes.

    Args:
        alpha: Weight of what is inside.
        gamma: Power of how wrong a pixel is.
        eps: Added before logarithms.
        binary_input: Whether masks are compared, or classes.
        weight: Factor of the cost.
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2,
        eps: float = 1e-12,
        binary_input: bool = False,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        self.alpha, self.gamma, self.eps, self.binary_input = alpha, gamma, eps, binary_input

    def cost(self, score_qk: Tensor, label_m: Tensor, logit_ql: Tensor, mask_ml: Tensor) -> Tensor:
        """Costs ``(Q, M)`` before the factor."""
        p = (logit_ql if self.binary_input else score_qk).sigmoid()
        outside = -(1 - p + self.eps).log() * (1 - self.alpha) * p.pow(self.gamma)
        inside = -(p + self.eps).log() * self.alpha * (1 - p).pow(self.gamma)
        if not self.binary_input:
            return inside[:, label_m] - outside[:, label_m]
        return (inside @ mask_ml.T + outside @ (1 - mask_ml).T) / logit_ql.shape[1]


@MODELS.register_module(name='mmdet.DiceCost')
class DiceCost(MatchCost):
    """How little the masks overlap.

    Args:
        pred_act: Whether masks of queries are logits.
        eps: Added to both sides of the quotient.
        naive_dice: Divide by sums, not by sums of squares.
        weight: Factor of the cost.
    """

    def __init__(self, pred_act: bool = False, eps: float = 1e-3, naive_dice: bool = True, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.pred_act, self.eps, self.naive_dice = pred_act, eps, naive_dice

    def cost(self, score_qk: Tensor, label_m: Tensor, logit_ql: Tensor, mask_ml: Tensor) -> Tensor:
        """Costs ``(Q, M)`` before the factor."""
        pred_ql = logit_ql.sigmoid() if self.pred_act else logit_ql
        power = 1 if self.naive_dice else 2
        sizes_qm = pred_ql.pow(power).sum(1)[:, None] + mask_ml.pow(power).sum(1)[None]
        return 1 - (2 * pred_ql @ mask_ml.T + self.eps) / (sizes_qm + self.eps)


@MODELS.register_module(name='mmdet.HungarianAssigner')
class HungarianAssigner(nn.Module):
    """One query for every mask, so that the sum of costs is least.

    Args:
        match_costs: Configs of the costs that are added up.
    """

    def __init__(self, match_costs: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> None:
        super().__init__()
        configs = [match_costs] if isinstance(match_costs, Mapping) else match_costs
        self.match_costs = nn.ModuleList(MODELS.of('segmentation').build(cfg) for cfg in configs)

    @torch.no_grad()
    def forward(self, score_qk: Tensor, label_m: Tensor, logit_ql: Tensor, mask_ml: Tensor) -> tuple[Tensor, Tensor]:
        """Queries in ascending order, and the mask that each answers for; as many as there are of what is fewer."""
        if not len(label_m):
            return label_m.new_zeros(0), label_m.new_zeros(0)
        score_qk, logit_ql, mask_ml = score_qk.float(), logit_ql.float(), mask_ml.float()
        cost_qm = sum(cost(score_qk, label_m, logit_ql, mask_ml) for cost in self.match_costs)
        cost = torch.nan_to_num(cost_qm.double()).cpu().numpy()
        if cost.shape[1] <= cost.shape[0]:
            query, mask = torch.from_numpy(assign(cost.T)), torch.arange(cost.shape[1])
        else:
            query, mask = torch.arange(cost.shape[0]), torch.from_numpy(assign(cost))
        order = query.argsort()
        return query[order].to(label_m.device), mask[order].to(label_m.device)


@PIXEL_SAMPLERS.register_module(name='mmdet.MaskPseudoSampler')
class MaskPseudoSampler:
    """Chooses nothing: all queries count.

    Args:
        context: The head that it belongs to.
    """

    def __init__(self, context: Any = None) -> None:
        self.context = context
