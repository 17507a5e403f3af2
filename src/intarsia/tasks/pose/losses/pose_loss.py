"""What losses of poses have in common: weights of joints, and a factor.

Shapes: n people, k joints; ``*`` stands for what a joint has: a heat map h, w, or coordinates d.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PoseLoss(nn.Module):
    """Base of losses between outputs and targets of joints, ``(N, K, *)``.

    Args:
        use_target_weight: Whether joints count as their weights say; otherwise all count alike.
        loss_weight: Factor of the result.
    """

    def __init__(self, use_target_weight: bool = False, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.use_target_weight = use_target_weight
        self.loss_weight = loss_weight

    def weight_of(self, target_weight: Tensor | None, like: Tensor) -> Tensor | None:
        """The weights with as many dimensions as ``like``; None if they are not used.

        Raises:
            ValueError: They are to be used, but there are none, or they do not fit.
        """
        if not self.use_target_weight:
            return None
        if target_weight is None:
            raise ValueError(f'{type(self).__name__}: use_target_weight is set, but no target_weight was given')
        return fit_weight(target_weight, like)

    def extra_repr(self) -> str:
        """``use_target_weight=True, loss_weight=1.0``."""
        return f'use_target_weight={self.use_target_weight}, loss_weight={self.loss_weight}'


class PairLoss(PoseLoss):
    """Base of losses that weigh outputs and targets themselves: both times the weight are compared.

    A subclass implements :meth:`criterion`.
    """

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, of outputs and targets of one shape."""
        raise NotImplementedError(f'{type(self).__name__} has no criterion')

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor | None = None) -> Tensor:
        """Compute the loss, in float32 at least.

        Args:
            output: What the network gave, ``(N, K, *)``.
            target: What it should be, of the same shape.
            target_weight: ``(N, K)``, ``(N, K, 1)`` or of the shape of the target.

        Returns:
            A scalar.

        Raises:
            ValueError: Weights are to be used, but there are none, or shapes do not fit.
        """
        check_pair(self, output, target)
        output, weight = at_least_float32(output), self.weight_of(target_weight, target)
        if weight is not None:
            output, target = output * weight, target * weight
        return self.loss_weight * self.criterion(output, target)


def fit_weight(target_weight: Tensor, like: Tensor) -> Tensor:
    """Weights with as many dimensions as ``like``, which they can be multiplied with.

    Raises:
        ValueError: They do not fit.
    """
    missing = like.ndim - target_weight.ndim
    weight = target_weight.reshape(target_weight.shape + (1,) * missing) if missing > 0 else target_weight
    if weight.ndim != like.ndim or any(w not in (1, s) for w, s in zip(weight.shape, like.shape, strict=True)):
        raise ValueError(f'weights {tuple(target_weight.shape)} do not fit targets {tuple(like.shape)}')
    return weight


def check_pair(loss: nn.Module, output: Tensor, target: Tensor) -> None:
    """Raise a ValueError that names the shapes, if they are not the same."""
    if output.shape != target.shape:
        raise ValueError(f'{type(loss).__name__}: outputs {tuple(output.shape)}, but targets {tuple(target.shape)}')


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor, with more digits if it has fewer than float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
