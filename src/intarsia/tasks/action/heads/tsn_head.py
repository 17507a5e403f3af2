"""Heads of frames, which agree on a class for their clip.

Shapes: n clips, t frames of each, c channels, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.core.registries import HEADS, MODELS
from intarsia.tasks.action.heads.cls_head import CROSS_ENTROPY, LinearHead

MEAN: Mapping[str, Any] = {'type': 'action.AvgConsensus', 'dim': 1}


@MODELS.register_module()
class AvgConsensus(nn.Module):
    """The mean over an axis, which stays.

    Args:
        dim: The axis.
    """

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """``(N, T, ...)`` -> ``(N, 1, ...)``."""
        return x.mean(dim=self.dim, keepdim=True)


@HEADS.register_module()
class TSNHead(LinearHead):
    """The mean over the frames, then one layer.

    "Temporal Segment Networks" (Wang et al., 2016, arXiv:1608.00859). State keys: ``fc_cls``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss.
        spatial_type: ``'avg'`` takes the mean over the pixels; None takes features that have none.
        consensus: Config of what makes one of the frames.
        dropout_ratio: Of the mean feature.
        init_std: Standard deviation of the first weights.
        kwargs: As :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        spatial_type: Literal['avg'] | None = 'avg',
        consensus: Mapping[str, Any] = MEAN,
        dropout_ratio: float = 0.4,
        init_std: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, spatial_type, dropout_ratio, init_std, **kwargs)
        self.consensus = MODELS.of('action').build(consensus)

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N, K)`` of features ``(N * T, C, ...)``; ``num_segs`` is T."""
        feat_ntc = self.pooled(feats).unflatten(0, (-1, num_segs or 1))
        return self.fc_cls(self.dropout(self.consensus(feat_ntc).squeeze(1)))


@HEADS.register_module()
class TSMHead(TSNHead):
    """One layer for every frame, then the mean of the scores.

    "TSM: Temporal Shift Module for Efficient Video Understanding" (Lin et al., 2018, arXiv:1811.08383). A sample with
    several clips gives scores for each of them.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        num_segments: T, the frames that the backbone was made for.
        loss_cls: Config of the loss.
        spatial_type: As in :class:`TSNHead`, like all that are not explained here.
        consensus: As there.
        dropout_ratio: Of each feature.
        init_std: Standard deviation of the first weights.
        is_shift: Whether the backbone shifts.
        temporal_pool: Whether the backbone halves the frames.
        kwargs: As :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_segments: int = 8,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        spatial_type: Literal['avg'] | None = 'avg',
        consensus: Mapping[str, Any] = MEAN,
        dropout_ratio: float = 0.8,
        init_std: float = 0.001,
        is_shift: bool = True,
        temporal_pool: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, spatial_type, consensus, dropout_ratio, init_std, **kwargs)
        self.num_segments = num_segments // 2 if is_shift and temporal_pool else num_segments

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N * V, K)`` of features ``(N * V * T, C, ...)``; ``num_segs`` is not used."""
        score_xk = self.fc_cls(self.dropout(self.pooled(feats)))
        return self.consensus(score_xk.unflatten(0, (-1, self.num_segments))).squeeze(1)
