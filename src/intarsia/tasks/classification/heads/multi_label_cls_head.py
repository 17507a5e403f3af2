"""Heads for samples with any number of classes.

Shapes: n samples, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.tasks.classification.heads.cls_head import ClsHead, Features
from intarsia.tasks.classification.heads.linear_cls_head import NORMAL_INIT


@HEADS.register_module()
class MultiLabelClsHead(ClsHead):
    """Head without layers of its own; every class is a yes-or-no question.

    Labels are scores ``(N, C)``; -1 marks a difficult positive and counts as 1.

    Args:
        loss: Config of the loss, or a module; None means binary cross entropy.
        thr: A class is predicted if its probability is at least this; 0.5 if ``topk`` is not given either.
        topk: Predict this many classes; used if ``thr`` is None.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        loss: Mapping[str, Any] | nn.Module | None = None,
        thr: float | None = None,
        topk: int | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(loss=loss, topk=topk or 1, init_cfg=init_cfg)
        self.thr = 0.5 if thr is None and topk is None else thr

    @staticmethod
    def default_loss() -> dict[str, Any]:
        """Config of the loss that is used if none is given."""
        return {'type': 'classification.CrossEntropyLoss', 'use_sigmoid': True, 'reduction': 'mean', 'loss_weight': 1.0}

    def predict(self, feats: Features) -> Tensor:
        """Probabilities ``(N, C)``, each in 0 ... 1."""
        return self(feats).sigmoid()

    def decide(self, probability_nc: Tensor) -> list[tuple[int, ...]]:
        """The predicted classes of each sample, the most probable first; possibly none."""
        sorted_nc, label_nc = probability_nc.sort(dim=1, descending=True, stable=True)
        if self.thr is None:
            counts = [self.topk[0]] * len(label_nc)
        else:
            counts = (sorted_nc >= self.thr).sum(dim=1).tolist()
        return [tuple(labels[:count]) for labels, count in zip(label_nc.tolist(), counts, strict=True)]

    def _target_for_loss(self, score_nc: Tensor, target: Tensor) -> Tensor:
        target_nc = super()._target_for_loss(score_nc, target)
        return torch.abs(target_nc) if target_nc.dim() == 2 else target_nc


@HEADS.register_module()
class MultiLabelLinearClsHead(MultiLabelClsHead):
    """One fully connected layer; every class is a yes-or-no question.

    Args:
        num_classes: Number of classes C.
        in_channels: Channels of the feature.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`MultiLabelClsHead`.
    """

    def __init__(self, num_classes: int, in_channels: int, init_cfg: Any = NORMAL_INIT, **kwargs: Any) -> None:
        super().__init__(init_cfg=init_cfg, **kwargs)
        self._check_classes(num_classes)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, C)``."""
        return self.fc(self.pre_logits(feats))
