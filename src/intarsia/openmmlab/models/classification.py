"""Classifiers and heads as MMClassification's and MMPretrain's code subclasses them.

Shapes: n samples, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia.models.losses.accuracy import accuracy
from intarsia.openmmlab.generations import AttributeConfigs, Entered, known, overrides
from intarsia.openmmlab.models.base import OldModel
from intarsia.openmmlab.samples import SAMPLES
from intarsia.tasks.classification import classifier
from intarsia.tasks.classification.heads import cls_head, linear_cls_head


class BaseClassifier(OldModel):
    """Base of classifiers: a subclass has ``extract_feat`` and its losses."""

    task = 'classification'

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return getattr(self, 'neck', None) is not None

    @property
    def with_head(self) -> bool:
        """Whether there is a head."""
        return getattr(self, 'head', None) is not None


class ImageClassifier(BaseClassifier, classifier.ImageClassifier):
    """Our classifier with the methods of the old ones.

    Args:
        args: As ours.
        data_preprocessor: Not used.
        kwargs: As ours.
    """

    def __init__(self, *args: Any, data_preprocessor: Any = None, **kwargs: Any) -> None:
        classifier.ImageClassifier.__init__(self, *args, **kwargs)
        self.train_cfg, self.fp16_enabled = kwargs.get('train_cfg'), False

    def extract_feat(self, img: Tensor, stage: Any = 'neck') -> Any:
        """As ours."""
        return classifier.ImageClassifier.extract_feat(self, img, stage)

    def extract_feats(self, imgs: Sequence[Tensor], **kwargs: Any) -> list[Any]:
        """Features of several batches."""
        return [self.extract_feat(img, **kwargs) for img in imgs]

    def forward_dummy(self, inputs: Tensor) -> Any:
        """Logits ``(N, C)``."""
        return classifier.ImageClassifier.forward(self, inputs)

    def forward_train(self, img: Tensor, gt_label: Tensor, **kwargs: Any) -> dict[str, Any]:
        """Losses of a batch, by name."""
        return classifier.ImageClassifier.loss(self, img, {'gt_label': gt_label, **kwargs})

    def simple_test(self, img: Tensor, img_metas: Any = None, **kwargs: Any) -> list[np.ndarray]:
        """Probabilities of each image, ``(C,)``."""
        return list(self._head().predict(self.extract_feat(img)).detach().cpu().numpy())

    def loss(self, inputs: Tensor, data_samples: Any) -> dict[str, Any]:
        """Losses of a batch; targets are a dict, as ours, or data samples."""
        targets = data_samples if isinstance(data_samples, Mapping) else self.samples.targets(data_samples)
        return classifier.ImageClassifier.loss(self, inputs, targets)

    def results_of(self, inputs: Tensor, metas: Any = None) -> list[Any]:
        """One result per image, through the method of testing that the subclass has."""
        own = overrides(self, 'simple_test') or overrides(self, 'forward_test')
        return (OldModel if own else classifier.ImageClassifier).results_of(self, inputs, metas)

    def predict(self, inputs: Any, data_samples: Any = None, *args: Any, **kwargs: Any) -> list[Any]:
        """Samples with predictions; for images, or with what a pipeline noted, as ours."""
        if not isinstance(inputs, Tensor) or not data_samples or isinstance(data_samples[0], Mapping):
            return classifier.ImageClassifier.predict(self, inputs, data_samples, *args, **kwargs)
        return samples_with_scores(self._head().predict(self.extract_feat(inputs)), data_samples)


class OldClsHead(Entered, metaclass=AttributeConfigs):
    """The methods of the old heads, beside those of ours."""

    entrances = ('loss', 'predict')

    def compute_accuracy(self, cls_score: Tensor, gt_label: Tensor) -> list[Tensor]:
        """Shares of right answers in percent, for each k of ``topk``."""
        return accuracy(cls_score, gt_label, self.topk)

    def forward_train(self, x: Any, gt_label: Tensor, **kwargs: Any) -> dict[str, Any]:
        """Losses by name, of features and labels."""
        return self.loss(self(x), gt_label)

    def simple_test(self, x: Any, softmax: bool = True, post_process: bool = True) -> Any:
        """Probabilities: a list of arrays, or a tensor without ``post_process``."""
        score_nc = self(x)
        return self.post_process(score_nc.softmax(dim=1) if softmax else score_nc) if post_process else score_nc

    def post_process(self, pred: Tensor) -> list[np.ndarray]:
        """Predictions one by one."""
        return list(pred.detach().cpu().numpy())

    def loss(self, feats: Any, data_samples: Any, **kwargs: Any) -> dict[str, Any]:
        """Losses by name: of logits and labels, or of features and data samples."""
        if isinstance(data_samples, Tensor):
            return self.losses_of(feats, data_samples)
        return self._get_loss(self(feats), data_samples, **kwargs)

    def _get_loss(self, cls_score: Tensor, data_samples: Any, **kwargs: Any) -> dict[str, Any]:
        target = SAMPLES['classification'].targets(data_samples)['gt_label']
        return self.losses_of(cls_score, target)

    def predict(self, feats: Any, data_samples: Any = None) -> Any:
        """Data samples with scores and labels."""
        return self._get_predictions(self(feats), data_samples)

    def _get_predictions(self, cls_score: Tensor, data_samples: Any = None) -> Any:
        return samples_with_scores(cls_score.softmax(dim=1), data_samples)

    # ------------------------------------------------------------------ as our classifier calls them

    def enter_loss(self, feats: Any, target: Tensor) -> dict[str, Any]:
        """Losses by name, through the method that the subclass has."""
        if overrides(self, 'forward_train'):
            return self.forward_train(feats, target)
        if overrides(self, 'loss') and 'data_samples' not in known(self.loss, {'data_samples': 0}):
            return self.loss(self(feats), target)
        return self.loss(feats, SAMPLES['classification'].of_batch({'gt_label': target}))

    def enter_predict(self, feats: Any) -> Tensor:
        """Probabilities ``(N, C)``, through the method that the subclass has."""
        if overrides(self, 'simple_test'):
            answers = self.simple_test(feats)
            rows = [torch.as_tensor(np.asarray(each)) for each in answers] if isinstance(answers, list) else answers
            return torch.stack(list(rows)).float() if isinstance(answers, list) else answers
        found = self.predict(feats, None)
        return torch.stack([sample.pred_score for sample in found])


class ClsHead(OldClsHead, cls_head.ClsHead):
    """Our head without layers."""


BaseHead = ClsHead


class LinearClsHead(OldClsHead, linear_cls_head.LinearClsHead):
    """Our head of one layer."""


def samples_with_scores(score_nc: Tensor, data_samples: Any = None) -> list[Any]:
    """Data samples with ``pred_score`` and ``pred_label``."""
    samples = data_samples or [SAMPLES['classification'].kind() for _ in score_nc]
    for sample, score_c in zip(samples, score_nc, strict=True):
        sample.set_pred_score(score_c).set_pred_label(score_c.argmax())
    return list(samples)
