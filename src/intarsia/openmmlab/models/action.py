"""Recognizers, heads and losses as MMAction2's code subclasses them.

Shapes: n clips, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from intarsia.openmmlab.generations import AttributeConfigs, Entered, overrides
from intarsia.openmmlab.models.base import OldModel
from intarsia.openmmlab.samples import SAMPLES
from intarsia.tasks.action import recognizer, recognizer2d, recognizer3d
from intarsia.tasks.action.heads import cls_head


class BaseRecognizer(OldModel, recognizer.Recognizer):
    """Base of recognizers: our parts, and the methods of the old one.

    Args:
        args: As ours.
        data_preprocessor: Not used.
        kwargs: As ours.
    """

    task = 'action'
    _head_takes_num_segs = False
    batch_axes = 6
    """Axes of a batch; with one less, clips come as the backbone takes them."""

    def __init__(self, *args: Any, data_preprocessor: Any = None, **kwargs: Any) -> None:
        recognizer.Recognizer.__init__(self, *args, **kwargs)
        self.train_cfg, self.test_cfg = kwargs.get('train_cfg'), kwargs.get('test_cfg') or {}
        self.fp16_enabled = False

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return self.neck is not None

    @property
    def with_cls_head(self) -> bool:
        """Whether there is a head."""
        return self.cls_head is not None

    def extract_backbone(self, inputs: Tensor) -> Any:
        """What the backbone gives for all clips."""
        return self.backbone(inputs.flatten(0, 1))

    def extract_feat(self, imgs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Features of clips as the backbone takes them, or of a batch of them."""
        feats = self.extract_backbone(imgs) if imgs.ndim == self.batch_axes else self.backbone(imgs)
        return feats if self.neck is None else self.neck(feats)

    def forward_dummy(self, inputs: Tensor) -> Any:
        """Scores of all views."""
        return recognizer.Recognizer.forward(self, inputs)

    def average_clip(self, cls_score: Tensor, num_segs: int = 1) -> Tensor:
        """Scores of samples from those of their views, as ``test_cfg`` says."""
        how = self.test_cfg.get('average_clips') if self.test_cfg else None
        return recognizer.average_views(cls_score, num_segs, how)

    def forward_train(self, imgs: Tensor, label: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Losses of a batch, by name."""
        return recognizer.Recognizer.loss(self, imgs, {'label': kwargs.pop('labels', label), **kwargs})

    def forward_test(self, imgs: Tensor, *args: Any, **kwargs: Any) -> np.ndarray:
        """Scores ``(N, K)``."""
        found = recognizer.Recognizer.results_of(self, imgs)
        return np.stack([each.scores for each in found])

    def loss(self, inputs: Tensor, data_samples: Any, **kwargs: Any) -> dict[str, Any]:
        """Losses of a batch; targets are a dict, as ours, or data samples."""
        targets = data_samples if isinstance(data_samples, Mapping) else self.samples.targets(data_samples)
        return recognizer.Recognizer.loss(self, inputs, targets)

    def results_of(self, inputs: Tensor, metas: Any = None) -> list[Any]:
        """One result for each sample, through the method of testing that the subclass has."""
        if not overrides(self, 'forward_test'):
            return recognizer.Recognizer.results_of(self, inputs, metas)
        return [self.samples.result_of_answer(each, self) for each in self.forward_test(inputs)]


class Recognizer2D(BaseRecognizer, recognizer2d.Recognizer2D):
    """Our recognizer of frames with the methods of the old one."""

    batch_axes = 5

    def extract_backbone(self, inputs: Tensor) -> Any:
        """As ours."""
        return recognizer2d.Recognizer2D.extract_backbone(self, inputs)


class Recognizer3D(BaseRecognizer, recognizer3d.Recognizer3D):
    """Our recognizer of clips with the methods of the old one."""

    def extract_backbone(self, inputs: Tensor) -> Any:
        """As ours."""
        return recognizer3d.Recognizer3D.extract_backbone(self, inputs)


class BaseHead(Entered, cls_head.BaseHead, metaclass=AttributeConfigs):
    """Our base of heads, whose losses are those of logits and labels, or of features and data samples."""

    entrances = ('loss',)

    def loss(self, first: Any, second: Any, **kwargs: Any) -> dict[str, Any]:
        """Losses and accuracies by name."""
        if isinstance(second, Tensor):
            return cls_head.BaseHead.loss(self, first, second, **kwargs)
        return self.loss_by_feat(self(first, **kwargs), second)

    def loss_by_feat(self, cls_scores: Tensor, data_samples: Any) -> dict[str, Any]:
        """Losses and accuracies of scores, by name."""
        return cls_head.BaseHead.loss(self, cls_scores, SAMPLES['action'].targets(data_samples)['label'])

    def enter_loss(self, score_nk: Tensor, label: Tensor, **options: Any) -> dict[str, Any]:
        """Losses, through the method that the subclass has."""
        if overrides(self, 'loss_by_feat'):
            return self.loss_by_feat(score_nk, SAMPLES['action'].of_batch({'label': label}))
        return self.loss(score_nk, label, **options)


class BaseWeightedLoss(nn.Module):
    """A loss whose subclass has ``_forward(cls_score, label)``, and which is multiplied by a weight.

    Args:
        loss_weight: The weight.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f'{type(self).__name__} has no _forward')

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The loss, or a dict of losses whose names contain ``loss``, times the weight."""
        value = self._forward(*args, **kwargs)
        if not isinstance(value, Mapping):
            return value * self.loss_weight
        return {name: each * self.loss_weight if 'loss' in name else each for name, each in value.items()}
