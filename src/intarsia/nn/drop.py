"""Dropout of whole residual branches, and dropout by config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def drop_path(x: Tensor, drop_prob: float = 0.0, training: bool = False) -> Tensor:
    """Set whole samples of a batch to zero and scale the others, so that the mean is kept.

    Args:
        x: First axis N.
        drop_prob: Probability that a sample is dropped, below 1.
        training: Outside of training nothing is dropped.

    Returns:
        A tensor of the same shape.
    """
    if drop_prob == 0.0 or not training:
        return x
    keep_prob = 1 - drop_prob
    keep_n = x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(keep_prob)
    return x * keep_n.div_(keep_prob)


class DropPath(nn.Module):
    """Stochastic depth: leaves out a residual branch, for each sample by chance.

    "Deep Networks with Stochastic Depth" (Huang et al., 2016, arXiv:1603.09382).

    Args:
        drop_prob: Probability that a sample goes without the branch, 0 <= p < 1.
    """

    def __init__(self, drop_prob: float = 0.1) -> None:
        super().__init__()
        if not 0 <= drop_prob < 1:
            raise ValueError(f'DropPath: drop_prob must lie in [0, 1), not {drop_prob}')
        self.drop_prob = float(drop_prob)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return drop_path(x, self.drop_prob, self.training)

    def extra_repr(self) -> str:
        """``drop_prob=0.1``."""
        return f'drop_prob={self.drop_prob}'


def path_or_identity(drop_prob: float) -> nn.Module:
    """A :class:`DropPath`, or nothing at all where nothing can be dropped."""
    return DropPath(drop_prob) if drop_prob > 0 else nn.Identity()


def build_dropout(cfg: Mapping[str, Any] | None) -> nn.Module:
    """Dropout from ``dict(type='Dropout' or 'DropPath', drop_prob=...)``; None gives an identity.

    Raises:
        ValueError: Another type.
    """
    if cfg is None:
        return nn.Identity()
    options = dict(cfg)
    kind = options.pop('type')
    if kind == 'DropPath':
        return DropPath(**options)
    if kind == 'Dropout':
        return nn.Dropout(options.get('drop_prob', 0.5), options.get('inplace', False))
    raise ValueError(f"the type of a dropout is 'Dropout' or 'DropPath', not {kind!r}")


def decay_rule(drop_path_rate: float, num_blocks: int) -> list[float]:
    """Drop probabilities that grow linearly from 0 at the first block to ``drop_path_rate`` at the last."""
    return [drop_path_rate * i / max(num_blocks - 1, 1) for i in range(num_blocks)]
