"""The head of temporal pyramids."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from intarsia.core.registries import HEADS
from intarsia.tasks.action.heads.tsn_head import TSNHead


@HEADS.register_module()
class TPNHead(TSNHead):
    """:class:`~intarsia.tasks.action.heads.tsn_head.TSNHead` of features of whole clips. Arguments as there."""

    def forward(self, feats: Any, num_segs: int | None = None, fcn_test: bool = False) -> Tensor:
        """Scores ``(N, K)`` of features.

        Args:
            feats: ``(N, C, T, H, W)``, or ``(N * T, C, H, W)`` with ``num_segs``.
            num_segs: T.
            fcn_test: Whether the features are those of all frames; ``num_segs`` is then not used.
        """
        return super().forward(feats, None if fcn_test else num_segs)
