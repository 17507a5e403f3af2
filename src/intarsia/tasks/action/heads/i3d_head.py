"""The heads of clips: mean over space and time, then one layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.tasks.action.heads.cls_head import CROSS_ENTROPY, LinearHead


@HEADS.register_module()
class I3DHead(LinearHead):
    """Pools a clip's features and classifies them: I3D, SlowOnly, C3D and others.

    Arguments as :class:`~intarsia.tasks.action.heads.cls_head.LinearHead`.
    """


@HEADS.register_module()
class SlowFastHead(LinearHead):
    """Pools the features of two pathways, joins them, and classifies.

    "SlowFast Networks for Video Recognition" (Feichtenhofer et al., 2018, arXiv:1812.03982). Arguments as
    :class:`~intarsia.tasks.action.heads.cls_head.LinearHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        spatial_type: Literal['avg'] | None = 'avg',
        dropout_ratio: float = 0.8,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, spatial_type, dropout_ratio, **kwargs)

    def pooled(self, feats: Any) -> Tensor:
        """``(N, C + C')`` of the slow and the fast features: the order that weights of this head were trained with."""
        slow, fast = feats
        return torch.cat([super(SlowFastHead, self).pooled(each) for each in (fast, slow)], dim=1)
