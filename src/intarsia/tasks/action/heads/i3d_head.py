"""The head of clips: mean over space and time, then one layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.nn.init import normal_init
from intarsia.tasks.action.heads.cls_head import BaseHead

CROSS_ENTROPY: Mapping[str, Any] = {'type': 'action.CrossEntropyLoss'}


@HEADS.register_module()
class I3DHead(BaseHead):
    """Pools a clip's features and classifies them: I3D, SlowOnly, C3D and others.

    State keys: ``fc_cls``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss.
        spatial_type: ``'avg'`` takes the mean over space and time; None takes features that have neither.
        dropout_ratio: Of the pooled feature.
        init_std: Standard deviation of the first weights.
        multi_class: As in :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`, like the rest.
        label_smooth_eps: As there.
        topk: As there.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        spatial_type: Literal['avg'] | None = 'avg',
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
        multi_class: bool = False,
        label_smooth_eps: float = 0.0,
        topk: int | Sequence[int] = (1, 5),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, multi_class, label_smooth_eps, topk, init_cfg)
        self.spatial_type, self.init_std = spatial_type, init_std
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def init_weights(self) -> None:
        """Small normal weights."""
        super().init_weights()
        normal_init(self.fc_cls, std=self.init_std)

    def pooled(self, feats: Any) -> Tensor:
        """``(N, C)`` of ``(N, C, T, H, W)``, of a tuple the last."""
        feat = feats[-1] if isinstance(feats, (tuple, list)) else feats
        return feat.flatten(2).mean(2) if self.spatial_type == 'avg' and feat.ndim > 2 else feat.flatten(1)

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N, K)`` of features; ``num_segs`` is not used."""
        return self.fc_cls(self.dropout(self.pooled(feats)))


@HEADS.register_module()
class SlowFastHead(I3DHead):
    """:class:`I3DHead` of two pathways, whose means are joined.

    "SlowFast Networks for Video Recognition" (Feichtenhofer et al., 2018, arXiv:1812.03982). Arguments as there.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        spatial_type: Literal['avg'] | None = 'avg',
        dropout_ratio: float = 0.8,
        init_std: float = 0.01,
        multi_class: bool = False,
        label_smooth_eps: float = 0.0,
        topk: int | Sequence[int] = (1, 5),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            num_classes, in_channels, loss_cls, spatial_type, dropout_ratio, init_std, multi_class, label_smooth_eps,
            topk, init_cfg,
        )  # fmt: skip

    def pooled(self, feats: Any) -> Tensor:
        """``(N, C + C')`` of the slow and the fast features: the order that weights of this head were trained with."""
        slow, fast = feats
        return torch.cat([super(SlowFastHead, self).pooled(each) for each in (fast, slow)], dim=1)
