"""From a loss per element to one number: weights, reduction, average factor."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Reduction = Literal['none', 'mean', 'sum']
LossFunction = Callable[..., Tensor]


def weight_reduce_loss(
    loss: Tensor, weight: Tensor | None = None, reduction: str = 'mean', avg_factor: float | None = None
) -> Tensor:
    """Weight a loss and reduce it.

    Args:
        loss: Loss per element, any shape.
        weight: Factors that broadcast against ``loss``.
        reduction: ``'none'`` keeps the elements, ``'mean'`` and ``'sum'`` give a scalar.
        avg_factor: What ``'mean'`` divides the sum by, instead of the number of elements.

    Returns:
        The weighted elements, or a scalar.

    Raises:
        ValueError: The reduction is unknown, or it is ``'sum'`` and an average factor is given.
    """
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', not {reduction!r}")
    if weight is not None:
        loss = loss * weight
    if reduction == 'none':
        return loss
    if reduction == 'sum':
        if avg_factor is not None:
            raise ValueError('avg_factor can not be used with reduction="sum"')
        return loss.sum()
    return loss.mean() if avg_factor is None else loss.sum() / avg_factor


def weighted_loss(function: LossFunction) -> LossFunction:
    """Give an element-wise loss function the arguments ``weight``, ``reduction`` and ``avg_factor``.

    Args:
        function: ``f(pred, target, **options)`` that returns one loss per element, unreduced.

    Returns:
        ``f(pred, target, weight=None, reduction='mean', avg_factor=None, **options)``, with the name and the
        docstring of ``function``; see :func:`weight_reduce_loss`. It carries ``is_elementwise = True``, by which
        a classification head knows that class indices have to become one-hot scores for it.

    Example:
        >>> @weighted_loss
        ... def l1_loss(pred, target):
        ...     return (pred - target).abs()
        >>> l1_loss(torch.zeros(2, 3), torch.ones(2, 3), reduction='sum')
        tensor(6.)
    """

    @functools.wraps(function)
    def weighted(
        pred: Tensor | None = None,
        target: Tensor | None = None,
        weight: Tensor | None = None,
        reduction: str = 'mean',
        avg_factor: float | None = None,
        **options: object,
    ) -> Tensor:
        if pred is None or target is None:
            name = getattr(function, '__name__', 'the loss')
            raise TypeError(
                f'{name} is a function of (pred, target, ...), and was called without them. '
                f'To keep it for later, store the function itself: self.criterion = {name}, without brackets.'
            )
        return weight_reduce_loss(function(pred, target, **options), weight, reduction, avg_factor)

    del weighted.__wrapped__  # its signature is the one above
    weighted.is_elementwise = True  # type: ignore[attr-defined]
    return weighted


class WeightedLoss(nn.Module):
    """Base of losses that are computed per element, then weighted and reduced.

    A subclass implements :meth:`per_element`.

    Args:
        reduction: As in :func:`weight_reduce_loss`.
        loss_weight: Factor of the result.
    """

    def __init__(self, reduction: Reduction = 'mean', loss_weight: float = 1.0) -> None:
        super().__init__()
        if reduction not in get_args(Reduction):
            raise ValueError(f"{type(self).__name__}: reduction must be 'none', 'mean' or 'sum', not {reduction!r}")
        self.reduction = reduction
        self.loss_weight = loss_weight

    def per_element(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss before weighting; its first axis is that of the samples."""
        raise NotImplementedError(f'{type(self).__name__} has no per_element')

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: Reduction | None = None,
    ) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            pred: Scores of the model, first axis N.
            target: What they should be; the class says in which form.
            weight: Factor per sample ``(N,)``, or per element.
            avg_factor: What ``'mean'`` divides the sum by.
            reduction_override: Takes the place of ``reduction`` in this call.

        Returns:
            A scalar, or the elements if the reduction is ``'none'``.
        """
        loss = self.per_element(pred.to(torch.promote_types(pred.dtype, torch.float32)), target)
        if weight is not None:
            weight = weight.to(loss.dtype).reshape(*weight.shape, *[1] * (loss.dim() - weight.dim()))
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction_override or self.reduction, avg_factor)

    def extra_repr(self) -> str:
        """``reduction='mean', loss_weight=1.0``."""
        return f'reduction={self.reduction!r}, loss_weight={self.loss_weight}'


def optional_tensor(values: float | Sequence[float] | None) -> Tensor | None:
    """Numbers from a config as a float32 tensor; None stays None."""
    return None if values is None else torch.tensor(values, dtype=torch.float32)
