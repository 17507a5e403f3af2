"""A learned factor per channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LayerScale(nn.Module):
    """Multiply the last axis by learned factors that start small.

    "Going deeper with Image Transformers" (Touvron et al., 2021, arXiv:2103.17239).

    Args:
        dim: Size of the last axis.
        init_value: What all factors start with.
    """

    def __init__(self, dim: int, init_value: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((dim,), float(init_value)))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``, ``(..., dim)``."""
        return x * self.weight


def scale_or_identity(dim: int, init_value: float) -> nn.Module:
    """A :class:`LayerScale`, or nothing at all for ``init_value=0``."""
    return LayerScale(dim, init_value) if init_value > 0 else nn.Identity()
