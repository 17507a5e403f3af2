"""The head of X3D: mean over space and time, then two layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.nn.init import normal_init
from intarsia.tasks.action.heads.cls_head import CROSS_ENTROPY, BaseHead

MID_CHANNELS = 2048


@HEADS.register_module()
class X3DHead(BaseHead):
    """Pools a clip's features and classifies them with two layers.

    "X3D: Expanding Architectures for Efficient Video Recognition" (Feichtenhofer, 2020, arXiv:2004.04730). State keys:
    ``fc1``, ``fc2``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss.
        spatial_type: Whether the mean over space and time is taken, or the maximum.
        dropout_ratio: Before the second layer.
        init_std: Standard deviation of the first weights.
        fc1_bias: Whether the first layer has a bias.
        kwargs: As :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.

    Raises:
        ValueError: ``spatial_type`` is neither ``'avg'`` nor ``'max'``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        spatial_type: Literal['avg', 'max'] = 'avg',
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
        fc1_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, **kwargs)
        if spatial_type not in ('avg', 'max'):
            raise ValueError(f"X3DHead: spatial_type is 'avg' or 'max', not {spatial_type!r}")
        self.spatial_type, self.init_std = spatial_type, init_std
        self.fc1 = nn.Linear(in_channels, MID_CHANNELS, bias=fc1_bias)
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc2 = nn.Linear(MID_CHANNELS, num_classes)

    def init_weights(self) -> None:
        """Small normal weights."""
        super().init_weights()
        normal_init(self.fc1, std=self.init_std)
        normal_init(self.fc2, std=self.init_std)

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N, K)`` of features ``(N, C, T, H, W)``, of a tuple the last; ``num_segs`` is not used."""
        places_ncl = (feats[-1] if isinstance(feats, (tuple, list)) else feats).flatten(2)
        pooled_nc = places_ncl.mean(2) if self.spatial_type == 'avg' else places_ncl.amax(2)
        return self.fc2(self.dropout(self.fc1(pooled_nc).relu()))
