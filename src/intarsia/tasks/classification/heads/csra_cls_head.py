"""Multi-label head with an attention map per class.

Shapes: n samples, c channels, k classes, h rows, w columns, p = h*w positions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.tasks.classification.heads.cls_head import Features
from intarsia.tasks.classification.heads.linear_cls_head import NORMAL_INIT
from intarsia.tasks.classification.heads.multi_label_cls_head import MultiLabelClsHead

MAX_POOLING = 99
"""This temperature stands for an infinite one."""

TEMPERATURES = {
    1: (1,),
    2: (1, MAX_POOLING),
    4: (1, 2, 4, MAX_POOLING),
    6: (1, 2, 3, 4, 5, MAX_POOLING),
    8: (1, 2, 3, 4, 5, 6, 7, MAX_POOLING),
}
"""Number of attention heads -> the temperature of each."""


class ClassAttention(nn.Module):
    """Average score of every class over the image, plus its score where it is strongest.

    Args:
        num_classes: Number of classes K.
        in_channels: Channels C of the feature map.
        temperature: How sharp the attention is.
        lam: Weight of the attended score.
    """

    def __init__(self, num_classes: int, in_channels: int, temperature: float, lam: float) -> None:
        super().__init__()
        self.head = nn.Conv2d(in_channels, num_classes, 1, bias=False)
        self.temperature = temperature
        self.lam = lam

    def forward(self, x_nchw: Tensor) -> Tensor:
        """Logits ``(N, K)``."""
        length_k1 = self.head.weight.flatten(1).norm(dim=1, keepdim=True)
        score_nkp = self.head(x_nchw).flatten(2) / length_k1
        if self.temperature == MAX_POOLING:
            attended_nk = score_nkp.amax(dim=2)
        else:
            attended_nk = (score_nkp * (score_nkp * self.temperature).softmax(dim=2)).sum(dim=2)
        return score_nkp.mean(dim=2) + self.lam * attended_nk


@HEADS.register_module()
class CSRAClsHead(MultiLabelClsHead):
    """Class-specific residual attention; every class is a yes-or-no question.

    "Residual Attention: A Simple but Effective Method for Multi-Label Recognition" (Zhu and Wu, 2021,
    arXiv:2108.02456).

    Args:
        num_classes: Number of classes K.
        in_channels: Channels of the feature map.
        num_heads: Number of attention heads: 1, 2, 4, 6 or 8.
        lam: Weight of the attended scores against the averages, above 0.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`~intarsia.tasks.classification.heads.multi_label_cls_head.MultiLabelClsHead`.

    Raises:
        ValueError: ``num_heads`` or ``lam`` is not one of these.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_heads: int,
        lam: float,
        init_cfg: Any = NORMAL_INIT,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg, **kwargs)
        self._check_classes(num_classes)
        if num_heads not in TEMPERATURES:
            raise ValueError(f'CSRAClsHead: num_heads must be one of {list(TEMPERATURES)}, not {num_heads!r}')
        if lam <= 0:
            raise ValueError(f'CSRAClsHead: lam must be positive, not {lam!r}')
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.csra_heads = nn.ModuleList(
            ClassAttention(num_classes, in_channels, temperature, lam) for temperature in TEMPERATURES[num_heads]
        )

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K)`` of the last feature map ``(N, in_channels, H, W)``."""
        x_nchw = self.pre_logits(feats)
        return torch.stack([head(x_nchw) for head in self.csra_heads]).sum(dim=0)
