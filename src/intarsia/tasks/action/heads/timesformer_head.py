"""The heads of video transformers: one layer on the feature of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.nn.init import trunc_normal_init
from intarsia.tasks.action.heads.cls_head import CROSS_ENTROPY, LinearHead


@HEADS.register_module()
class TimeSformerHead(LinearHead):
    """One layer on a vector: TimeSformer, UniFormerV2, VideoMAE and others.

    "Is Space-Time Attention All You Need for Video Understanding?" (Bertasius et al., 2021, arXiv:2102.05095). State
    keys: ``fc_cls``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss.
        init_std: Standard deviation of the first weights.
        dropout_ratio: Of the feature.
        kwargs: As :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        init_std: float = 0.02,
        dropout_ratio: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, None, dropout_ratio, init_std, **kwargs)

    def init_weights(self) -> None:
        """Truncated normal weights."""
        super().init_weights()
        trunc_normal_init(self.fc_cls, std=self.init_std)

    def pooled(self, feats: Any) -> Tensor:
        """The vector ``(N, C)`` of a clip, of a tuple the last."""
        return feats[-1] if isinstance(feats, (tuple, list)) else feats
