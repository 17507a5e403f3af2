"""Cross entropies of class scores. Shapes: n clips, k classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import optional_tensor


class ClassLoss(nn.Module):
    """Base of the losses of class scores; a subclass implements :meth:`compute`.

    Args:
        loss_weight: Factor of the result.
        class_weight: Factor per class, K numbers.
    """

    class_weight: Tensor | None

    def __init__(self, loss_weight: float = 1.0, class_weight: Sequence[float] | None = None) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.register_buffer('class_weight', optional_tensor(class_weight), persistent=False)

    def compute(self, score_nk: Tensor, label: Tensor) -> Tensor:
        """The mean loss, a scalar."""
        raise NotImplementedError(f'{type(self).__name__} has no compute')

    def forward(self, cls_score: Tensor, label: Tensor) -> Tensor:
        """The weighted mean loss of a batch, a scalar, in float32 at least.

        Args:
            cls_score: Scores before softmax or sigmoid ``(N, K)``.
            label: Classes int64 ``(N,)``, or shares of the classes ``(N, K)``; see the class.
        """
        score_nk = cls_score.to(torch.promote_types(cls_score.dtype, torch.float32))
        return self.loss_weight * self.compute(score_nk, label)


@LOSSES.register_module()
class CrossEntropyLoss(ClassLoss):
    """Cross entropy of classes, or of shares of classes as smoothing and mixing make them.

    With class weights the mean is weighted too: the sum over the clips is divided by the sum of their weights, as
    :func:`torch.nn.functional.cross_entropy` does.

    Args:
        loss_weight: Factor of the result.
        class_weight: Factor per class, K numbers.
    """

    def compute(self, score_nk: Tensor, label: Tensor) -> Tensor:
        """The mean loss."""
        if label.shape != score_nk.shape:
            return F.cross_entropy(score_nk, label, self.class_weight)
        weight_nk = label if self.class_weight is None else label * self.class_weight
        loss_n = -(weight_nk * score_nk.log_softmax(dim=1)).sum(dim=1)
        return loss_n.mean() if self.class_weight is None else loss_n.sum() / weight_nk.sum()


@LOSSES.register_module()
class BCELossWithLogits(ClassLoss):
    """Binary cross entropy of every class, for clips with several; labels are ``(N, K)``.

    Args:
        loss_weight: Factor of the result.
        class_weight: Factor per class, K numbers.
    """

    def compute(self, score_nk: Tensor, label: Tensor) -> Tensor:
        """The mean over clips and classes."""
        return F.binary_cross_entropy_with_logits(score_nk, label.to(score_nk.dtype), self.class_weight)


@LOSSES.register_module()
class CBFocalLoss(ClassLoss):
    """Class-balanced focal loss, for classes of very different frequency; labels are ``(N,)``.

    "Class-Balanced Loss Based on Effective Number of Samples" (Cui et al., 2019, arXiv:1901.05555).

    Args:
        loss_weight: Factor of the result.
        samples_per_cls: How many samples each class has.
        beta: How far the weights of the classes go from all alike (0) to one over their frequency (1).
        gamma: How little clips count that are right already.

    Raises:
        ValueError: A class has no samples.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        samples_per_cls: Sequence[int] = (),
        beta: float = 0.9999,
        gamma: float = 2.0,
    ) -> None:
        if not samples_per_cls or min(samples_per_cls) < 1:
            raise ValueError(f'CBFocalLoss: samples_per_cls holds the samples of each class, not {samples_per_cls}')
        weight_k = (1 - beta) / (1 - beta ** torch.tensor(samples_per_cls, dtype=torch.float64))
        super().__init__(loss_weight, (weight_k / weight_k.sum() * len(weight_k)).tolist())
        self.gamma = gamma

    def compute(self, score_nk: Tensor, label: Tensor) -> Tensor:
        """The mean over clips of the sum over classes."""
        target_nk = F.one_hot(label, score_nk.shape[1]).to(score_nk.dtype)
        loss_nk = F.binary_cross_entropy_with_logits(score_nk, target_nk, reduction='none')
        # the share of the probability that is missing, in logarithms, which neither overflow nor lose digits
        loss_nk = loss_nk * torch.exp(-self.gamma * (target_nk * score_nk + F.softplus(-score_nk)))
        assert self.class_weight is not None
        return (self.class_weight[label, None] * loss_nk).sum() / len(label)
