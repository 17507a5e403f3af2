"""The head of structured segment networks.

Shapes: n proposals, s segments of each, t positions of a stream, c channels, m parts of a pyramid, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from intarsia.core.registries import HEADS
from intarsia.models.parts import build_part
from intarsia.nn.module import BaseModule
from intarsia.tasks.action.heads.temporal_pyramid import TemporalPyramid, mean_of_ranges

Scores = tuple[Tensor, Tensor, Tensor | None]
"""Of proposals: activity ``(N, 1 + K)``, the background first; completeness ``(N, K)``; regression ``(N, K, 2)``."""


@HEADS.register_module()
class SSNHead(BaseModule):
    """What happens in proposals, whether they are complete, and where their boundaries rather are.

    "Temporal Action Detection with Structured Segment Networks" (Zhao et al., 2017, arXiv:1704.06228).

    Args:
        dropout_ratio: Probability that a channel is set to 0 in training.
        in_channels: C.
        num_classes: K.
        consensus: Config of the :class:`~intarsia.tasks.action.heads.temporal_pyramid.TemporalPyramid`.
        use_regression: Whether boundaries are moved.
        init_std: Standard deviation of initial weights.
        init_cfg: How weights are initialized; None takes ``init_std``.
    """

    def __init__(
        self,
        dropout_ratio: float = 0.8,
        in_channels: int = 1024,
        num_classes: int = 20,
        consensus: Mapping[str, Any] = dict(type='action.STPPTrain', stpp_stage=(1, 1, 1), num_segments_list=(2, 5, 2)),
        use_regression: bool = True,
        init_std: float = 0.001,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg or dict(type='Normal', layer='Linear', std=init_std))
        self.num_classes, self.use_regression = num_classes, use_regression
        self.consensus: TemporalPyramid = build_part(consensus, 'action')
        self.dropout = nn.Dropout(dropout_ratio)
        wide = self.consensus.num_parts * in_channels
        self.activity_fc = nn.Linear(in_channels, num_classes + 1)
        self.completeness_fc = nn.Linear(wide, num_classes)
        if use_regression:
            self.regressor_fc = nn.Linear(wide, num_classes * 2)

    def forward(self, feat_xc: Tensor, scale_n2: Tensor) -> Scores:
        """Scores of proposals in training.

        Args:
            feat_xc: Features of all their segments, ``(N * S, C)``.
            scale_n2: How much of what is before and after lies within the stream.
        """
        course_nc, parts_nd = self.consensus.pool_segments(feat_xc, scale_n2)
        course_nc, parts_nd = self.dropout(course_nc), self.dropout(parts_nd)
        regression = self.regressor_fc(parts_nd).view(-1, self.num_classes, 2) if self.use_regression else None
        return self.activity_fc(course_nc), self.completeness_fc(parts_nd), regression

    def scores_in_stream(self, feat_tc: Tensor, tick_n4: np.ndarray, scale_n2: np.ndarray) -> Scores:
        """Scores of all proposals of a stream in testing, when its positions are classified only once.

        Args:
            feat_tc: Features of the positions.
            tick_n4: Positions where the stage before, the proposal and the stage after begin, and where that ends.
            scale_n2: As in :meth:`forward`.
        """
        low_n = tick_n4[:, 1]
        course_n12 = np.stack([low_n, np.maximum(low_n + 1, tick_n4[:, 2])], 1)[:, None]
        activity_nk = mean_of_ranges(self.activity_fc(feat_tc)[:, None], course_n12)[:, 0].to(feat_tc.dtype)
        regression = None
        if self.use_regression:
            moved_nk = self.consensus.pool_positions(self._of_parts(self.regressor_fc, feat_tc), tick_n4, scale_n2)
            regression = moved_nk.view(-1, self.num_classes, 2)
        parts_tmk = self._of_parts(self.completeness_fc, feat_tc)
        return activity_nk, self.consensus.pool_positions(parts_tmk, tick_n4, scale_n2), regression

    def _of_parts(self, layer: nn.Linear, feat_tc: Tensor) -> Tensor:
        """What a layer gives for positions, if they are in each of the parts; ``(T, M, outputs)``."""
        count = self.consensus.num_parts
        weight_kmc = layer.weight.view(layer.out_features, count, -1)
        score_tx = functional.linear(feat_tc, weight_kmc.transpose(0, 1).flatten(0, 1))
        return score_tx.view(len(feat_tc), count, -1) + layer.bias / count
