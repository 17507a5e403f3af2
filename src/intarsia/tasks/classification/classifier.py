"""The image classifier: backbone, neck, head.

Shapes: n samples, c channels or classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.core.registries import CLASSIFIERS
from intarsia.models.batch_augments import BatchAugments, step_generator
from intarsia.models.parts import build_part, in_a_row
from intarsia.models.task_model import TaskModel
from intarsia.tasks.classification.results import ClassificationResult

STAGES = ('backbone', 'neck', 'pre_logits')


@CLASSIFIERS.register_module()
class ImageClassifier(TaskModel):
    """Classifies images.

    Args:
        backbone: Config of the backbone, or a module: images to a tuple of stages.
        neck: Config of the neck, a list of configs that follow each other, or a module: stages to stages.
        head: Config of the head, or a module. Without one the model only extracts features.
        pretrained: File with the weights of the whole model; short for ``init_cfg`` of type Pretrained.
        train_cfg: ``augments``: config of a batch augmentation, or a list of them, applied in training; see
            :mod:`intarsia.models.batch_augments`.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The augments were made for another number of classes than the head.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        neck: Mapping[str, Any] | Sequence[Mapping[str, Any]] | nn.Module | None = None,
        head: Mapping[str, Any] | nn.Module | None = None,
        pretrained: str | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__({'type': 'Pretrained', 'checkpoint': pretrained} if pretrained else init_cfg)
        self.backbone = build_part(backbone, 'classification')
        self.neck = build_part(neck, 'classification', in_a_row)
        self.head = build_part(head, 'classification')
        augments = (train_cfg or {}).get('augments')
        self.augments = BatchAugments(augments, 'classification') if augments else None
        self._neck_takes_tensor = False
        if self.augments is not None:
            self.augments.check_classes(getattr(self.head, 'num_classes', None))

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return self.neck is not None

    @property
    def with_head(self) -> bool:
        """Whether there is a head."""
        return self.head is not None

    def extract_feat(self, img_nchw: Tensor, stage: Literal['backbone', 'neck', 'pre_logits'] = 'neck') -> Any:
        """Features of images.

        Args:
            img_nchw: Normalized images, float.
            stage: ``'backbone'`` or ``'neck'`` gives a tuple of stages (what the module returns; the neck's is the
                backbone's if there is none), ``'pre_logits'`` the input of the head's last layer.

        Raises:
            ValueError: The stage is none of these.
        """
        if stage not in STAGES:
            raise ValueError(f'stage must be one of {", ".join(STAGES)}, not {stage!r}')
        feats = self.backbone(img_nchw)
        if stage == 'backbone':
            return feats
        if self.neck is not None:
            feats = self._through_neck(feats)
        if stage == 'pre_logits' and self.head is not None:
            return self._head().pre_logits(feats)
        return feats

    def forward(self, img_nchw: Tensor) -> Any:
        """Logits ``(N, C)`` of normalized images; without a head the features."""
        feats = self.extract_feat(img_nchw)
        return feats if self.head is None else self.head(feats)

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Normalized images ``(N, C, H, W)``.
            targets: ``gt_label``: class indices int64 ``(N,)``, or scores float ``(N, C)``. Other entries are
                ignored.

        Returns:
            What the head's ``loss`` gives.

        Raises:
            KeyError: There is no ``gt_label``.
            RuntimeError: The model has no head.
        """
        if 'gt_label' not in targets:
            raise KeyError(
                f"ImageClassifier needs targets['gt_label'], but has {sorted(targets)}; "
                "does the pipeline collect it: dict(type='Collect', keys=['img', 'gt_label'])?"
            )
        gt_label = targets['gt_label']
        if self.training and self.augments is not None:
            inputs, gt_label = self.augments(inputs, gt_label, step_generator())
        return self._head().loss(self.extract_feat(inputs), gt_label)

    def results_of(
        self, inputs: Tensor, metas: Sequence[Mapping[str, Any]] | None = None
    ) -> list[ClassificationResult]:
        """One result per image of a batch ``(N, C, H, W)``; ``metas`` is not used."""
        head = self._head()
        probability_nc = head.predict(self.extract_feat(inputs)).detach().float().cpu()
        decisions = head.decide(probability_nc)
        rows = zip(probability_nc.numpy(), decisions, strict=True)
        return [ClassificationResult.of(scores, labels, self.classes) for scores, labels in rows]

    def _head(self) -> Any:
        if self.head is None:
            raise RuntimeError('this ImageClassifier has no head: it extracts features, but does not classify')
        return self.head

    def _through_neck(self, feats: Any) -> Any:
        """Necks take the tuple of stages; one written for a single tensor gets the only stage there is."""
        neck = self.neck
        assert neck is not None
        single = isinstance(feats, (tuple, list)) and len(feats) == 1 and isinstance(feats[0], Tensor)
        if not single or type(neck).__module__.startswith(('intarsia.', 'torch.')):
            return neck(feats)
        if self._neck_takes_tensor:
            return neck(feats[0])
        try:
            return neck(feats)
        except (TypeError, AttributeError):
            result = neck(feats[0])
        self._neck_takes_tensor = True
        return result
