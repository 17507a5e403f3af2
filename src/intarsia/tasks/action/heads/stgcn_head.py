"""Heads of skeletons.

Shapes: n samples, m people, c channels, t frames, v joints, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.nn.init import normal_init
from intarsia.tasks.action.heads.cls_head import CROSS_ENTROPY, BaseHead


@HEADS.register_module()
class STGCNHead(BaseHead):
    """Pools over joints and time, takes the mean over the people, and classifies.

    "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition" (Yan et al., 2018,
    arXiv:1801.07455). State keys: ``fc``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss.
        spatial_type: ``'avg'`` or ``'max'``.
        num_person: M.
        init_std: Standard deviation of the first weights.
        kwargs: As :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.

    Raises:
        ValueError: ``spatial_type`` is none of the two.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        spatial_type: Literal['avg', 'max'] = 'avg',
        num_person: int = 2,
        init_std: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, **kwargs)
        if spatial_type not in ('avg', 'max'):
            raise ValueError(f"STGCNHead: spatial_type is 'avg' or 'max', not {spatial_type!r}")
        self.spatial_type, self.num_person, self.init_std = spatial_type, num_person, init_std
        self.fc = nn.Conv2d(in_channels, num_classes, kernel_size=1)

    def init_weights(self) -> None:
        """Small normal weights."""
        super().init_weights()
        normal_init(self.fc, std=self.init_std)

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N, K)`` of features ``(N * M, C, T, V)``; ``num_segs`` is not used."""
        feat = feats[-1] if isinstance(feats, (tuple, list)) else feats
        pooled_xc = feat.flatten(2).mean(2) if self.spatial_type == 'avg' else feat.flatten(2).amax(2)
        mean_nc = pooled_xc.unflatten(0, (-1, self.num_person)).mean(1)
        return self.fc(mean_nc[..., None, None]).flatten(1)


@HEADS.register_module()
class GCNHead(BaseHead):
    """Pools over joints and time, takes the mean over the people, and classifies.

    "PYSKL: Towards Good Practices for Skeleton Action Recognition" (Duan et al., 2022, arXiv:2205.09443). State keys:
    ``fc``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss.
        dropout: Of the pooled feature.
        init_std: Standard deviation of the first weights.
        kwargs: As :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        dropout: float = 0.0,
        init_std: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, **kwargs)
        self.init_std = init_std
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes)

    def init_weights(self) -> None:
        """Small normal weights."""
        super().init_weights()
        normal_init(self.fc, std=self.init_std)

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N, K)`` of features ``(N, M, C, T, V)``; ``num_segs`` is not used."""
        feat = feats[-1] if isinstance(feats, (tuple, list)) else feats
        return self.fc(self.dropout(feat.flatten(3).mean(3).mean(1)))
