"""Features that differ from person to person.

Shapes: n people, c channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intarsia.core.registries import LOSSES


@LOSSES.register_module()
class InfoNCELoss(nn.Module):
    """Cross entropy of finding a feature among all, by how much alike they are.

    "Representation Learning with Contrastive Predictive Coding" (van den Oord et al., 2018, arXiv:1807.03748); as in
    "Contextual Instance Decoupling for Robust Multi-Person Pose Estimation" (Wang and Zhang, 2022).

    Args:
        temperature: What cosines are divided by.
        loss_weight: Factor of the result.

    Raises:
        ValueError: The temperature is not positive.
    """

    def __init__(self, temperature: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'InfoNCELoss: the temperature is positive, not {temperature}')
        self.temp, self.loss_weight = temperature, loss_weight

    def forward(self, features: Tensor) -> Tensor:
        """Compute the loss of features ``(N, C)``: a scalar, the sum over people."""
        unit_nc = F.normalize(features, dim=1)
        own_n = torch.arange(len(features), device=features.device)
        return self.loss_weight * F.cross_entropy(unit_nc @ unit_nc.T / self.temp, own_n, reduction='sum')
