"""A distribution of points in the plane that is learned.

Shapes: n points.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

NUM_LAYERS = 6


class RealNVP(nn.Module):
    """A normal distribution, bent by layers each of which moves and scales one coordinate, as the other one says.

    "Density estimation using Real NVP" (Dinh et al., 2017, arXiv:1605.08803).
    """

    loc: Tensor
    cov: Tensor
    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        # the first two are 0 and 1 in every file of weights; they are kept so that these have the keys they expect
        self.register_buffer('loc', torch.zeros(2))
        self.register_buffer('cov', torch.eye(2))
        self.register_buffer('mask', torch.tensor([[0.0, 1.0], [1.0, 0.0]] * (NUM_LAYERS // 2)))
        self.s = nn.ModuleList(_perceptron(nn.Tanh()) for _ in range(NUM_LAYERS))
        self.t = nn.ModuleList(_perceptron() for _ in range(NUM_LAYERS))
        self.init_weights()

    def init_weights(self) -> None:
        """Begin close to the normal distribution."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, gain=0.01)

    def log_prob(self, x_n2: Tensor) -> Tensor:
        """Logarithm of the density at points ``(N, 2)``: ``(N,)``."""
        log_det_n = x_n2.new_zeros(len(x_n2))
        for kept, scale, shift in zip(self.mask.flip(0), reversed(self.s), reversed(self.t), strict=True):
            seen_n2, moved = x_n2 * kept, 1 - kept
            log_scale_n2 = scale(seen_n2) * moved
            x_n2 = seen_n2 + moved * (x_n2 - shift(seen_n2)) * torch.exp(-log_scale_n2)
            log_det_n = log_det_n - log_scale_n2.sum(1)
        return log_det_n - 0.5 * (x_n2**2).sum(1) - math.log(2 * math.pi)


def _perceptron(*last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.LeakyReLU(), nn.Linear(64, 2), *last)
