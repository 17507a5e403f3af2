"""The head of sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.tasks.action.heads.cls_head import BaseHead


@HEADS.register_module(name=['AudioTSNHead', 'TSNAudioHead'])
class AudioTSNHead(BaseHead):
    """Classes of the mean over time and frequencies.

    State keys: ``fc_cls``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: As of :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.
        spatial_type: ``'avg'``.
        dropout_ratio: Share of the means that are dropped in training.
        init_std: Standard deviation of the initial weights.
        multi_class: As of ``BaseHead``.
        label_smooth_eps: As of ``BaseHead``.
        topk: As of ``BaseHead``.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = dict(type='action.CrossEntropyLoss'),  # noqa: B006
        spatial_type: Literal['avg'] = 'avg',
        dropout_ratio: float = 0.4,
        init_std: float = 0.01,
        multi_class: bool = False,
        label_smooth_eps: float = 0.0,
        topk: int | Sequence[int] = (1, 5),
        init_cfg: Any = None,
    ) -> None:
        require_choice('spatial_type', spatial_type, ('avg',))
        init_cfg = init_cfg or {'type': 'Normal', 'layer': 'Linear', 'std': init_std}
        super().__init__(num_classes, in_channels, loss_cls, multi_class, label_smooth_eps, topk, init_cfg)
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N, K)`` of maps ``(N, C, S, F)``, or of a tuple of one; ``num_segs`` is not used."""
        feat_ncsf = feats[-1] if isinstance(feats, (tuple, list)) else feats
        return self.fc_cls(self.dropout(feat_ncsf.mean(dim=(2, 3))))
