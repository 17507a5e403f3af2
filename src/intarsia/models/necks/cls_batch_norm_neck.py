"""Batch norm of class tokens.

Shape suffixes: n samples, c channels.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from intarsia.core.registries import NECKS
from intarsia.nn.module import BaseModule, InitCfg


@NECKS.register_module()
class ClsBatchNormNeck(BaseModule):
    """Normalize features over the batch before a linear classifier, so that frozen ones need no tuned rate.

    "Masked Autoencoders Are Scalable Vision Learners" (He et al., 2021, arXiv:2111.06377), section A.1.

    State keys: ``bn``.

    Args:
        input_features: Channels C.
        affine: Learn a scale and an offset per channel.
        eps: Added to the variance.
        init_cfg: How weights are initialized.
    """

    def __init__(self, input_features: int, affine: bool = False, eps: float = 1e-6, init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg)
        self.bn = nn.BatchNorm1d(input_features, affine=affine, eps=eps)

    def forward(self, tokens: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Tokens ``(N, C)``, one for each stage, in and out."""
        return tuple(self.bn(token_nc) for token_nc in tokens)
