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
from intarsia.tasks.classification.heads.linear_cls_head import LinearClsHead


@HEADS.register_module()
class MultiLabelClsHead(ClsHead):
    """Head without layers of its own; every class is a yes-or-no question.

    Labels are scores ``(N, C)``; -1 marks a difficult positive and counts as 1.

    Args:
        loss: Config of the loss, or a module; None means binary cross entropy.
        thr: A class is predicted if its probability is at least this; 0.5 if ``topk`` is not given either.
        topk: Predict this many classes; used if ``thr`` is None.
        **kwargs: Further arguments of :class:`~intarsia.tasks.classification.heads.cls_head.ClsHead`.
    """

    def __init__(
        self,
        loss: Mapping[str, Any] | nn.Module | None = None,
        thr: float | None = None,
        topk: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(loss=loss, topk=topk or 1, **kwargs)
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
class MultiLabelLinearClsHead(MultiLabelClsHead, LinearClsHead):
    """One fully connected layer; every class is a yes-or-no question.

    Args:
        loss: As :class:`MultiLabelClsHead`, as are ``thr`` and ``topk``.
        num_classes: As :class:`~intarsia.tasks.classification.heads.linear_cls_head.LinearClsHead`, as are
            ``in_channels`` and ``init_cfg``.
    """
