"""What recognizers have in common: from clips to features, scores, losses and results.

Shapes: n samples, m frames or clips of each, v views (clips or crops) of each that have scores of their own, k classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.data.transforms.image_transform import require_choice
from intarsia.models.batch_augments import BatchAugments, step_generator
from intarsia.models.parts import build_backbone, build_part
from intarsia.models.task_model import Image, TaskModel
from intarsia.tasks.action.results import ActionResult, FeatureResult


@dataclass(frozen=True)
class Testing:
    """How clips are tested: ``test_cfg`` of a recognizer.

    Attributes:
        average_clips: How the scores of several views of a sample become one: ``'prob'`` is the mean of their
            probabilities, ``'score'`` the mean of their scores; None leaves them as they are.
        max_testing_views: Views that go through the backbone at once, to save memory; None for all.
        feature_extraction: Whether results are features instead of scores.
        fcn_test: Whether a 2D recognizer gives all frames of a clip to its head at once, without pooling them first.
    """

    average_clips: Literal['prob', 'score'] | None = 'prob'
    max_testing_views: int | None = None
    feature_extraction: bool = False
    fcn_test: bool = False

    def __post_init__(self) -> None:
        if self.average_clips is not None:
            require_choice('test_cfg.average_clips', self.average_clips, ('prob', 'score'))
        if self.max_testing_views is not None and self.max_testing_views < 1:
            raise ValueError(f'test_cfg.max_testing_views must be positive, not {self.max_testing_views}')


def average_views(score_xk: Tensor, num_views: int, how: str | None) -> Tensor:
    """Scores of samples from those of their views.

    Args:
        score_xk: ``(N * V, K)``, the views of a sample one after the other.
        num_views: V.
        how: As ``test_cfg.average_clips``.

    Returns:
        ``(N, K)``; probabilities for ``'prob'``; what was given for None.
    """
    if how is None:
        return score_xk
    score_nvk = score_xk.reshape(-1, num_views, score_xk.shape[-1])
    return (score_nvk.softmax(dim=2) if how == 'prob' else score_nvk).mean(dim=1)


class Recognizer(TaskModel):
    """Base of the recognizers: backbone, neck, head.

    A subclass says how a batch becomes the backbone's input, and its output the head's: :meth:`extract_backbone`,
    :meth:`classify`.

    Args:
        backbone: Config of the backbone, or a module.
        cls_head: Config of the head; without one the model only extracts features.
        neck: Config of the neck: features to features; its ``loss(feats, labels)``, if it has one, adds to the losses.
        train_cfg: ``blending``: a node of BATCH_AUGMENTS (or a list) that mixes the clips of a batch in training;
            ``aux_info``: entries of a batch that the head's loss takes beside the labels.
        test_cfg: How clips are tested, see :class:`Testing`.
        pretrained: Weights of the backbone.
        init_cfg: How weights are initialized.
    """

    input_key = 'imgs'

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        cls_head: Mapping[str, Any] | nn.Module | None = None,
        neck: Mapping[str, Any] | nn.Module | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        pretrained: str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.backbone = build_backbone(backbone, 'action', pretrained)
        self.neck = build_part(neck, 'action')
        self.cls_head = build_part(cls_head, 'action')
        self.testing = Testing(**(test_cfg or {}))
        train_cfg = train_cfg or {}
        self.aux_info: Sequence[str] = tuple(train_cfg.get('aux_info', ()))
        self.blending: BatchAugments | None = None
        if train_cfg.get('blending') is not None:
            self.blending = BatchAugments(train_cfg['blending'], 'action', 'train_cfg.blending')
            self.blending.check_classes(getattr(self.cls_head, 'num_classes', None))
        self._head_takes_num_segs = self.cls_head is not None and 'num_segs' in _parameters(self.cls_head.forward)

    # ------------------------------------------------------------------ what a subclass implements

    def extract_backbone(self, inputs: Tensor) -> Any:
        """What the neck, or else the head, gets of a batch."""
        raise NotImplementedError(f'{type(self).__name__} has no extract_backbone')

    def classify(self, feats: Any, inputs: Tensor) -> Tensor:
        """Scores ``(N * V, K)`` of features; ``inputs`` is the batch they come from."""
        return self.head(feats)

    # ------------------------------------------------------------------ the network

    @property
    def head(self) -> Any:
        """The head.

        Raises:
            RuntimeError: There is none.
        """
        if self.cls_head is None:
            raise RuntimeError(f'this {type(self).__name__} has no cls_head: it extracts features, but gives no scores')
        return self.cls_head

    def extract_feat(self, inputs: Tensor) -> Any:
        """Features of a batch after the neck."""
        feats = self.extract_backbone(inputs)
        return feats if self.neck is None else self.neck(feats)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores ``(N * V, K)`` of all views."""
        return self.classify(self.extract_feat(inputs), inputs)

    def in_parts(self, network: Callable[[Tensor], Any], clips: Tensor) -> Any:
        """What a network gives for clips ``(N * M, ...)``, ``test_cfg.max_testing_views`` at a time in testing."""
        step = self.testing.max_testing_views
        if self.training or step is None or len(clips) <= step:
            return network(clips)
        return _joined([network(part) for part in clips.split(step)])

    # ------------------------------------------------------------------ losses

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: What ``input_key`` names, normalized.
            targets: ``label``: classes int64 ``(N,)`` or ``(N, 1)``, or shares of classes ``(N, K)``; and what
                ``train_cfg.aux_info`` names. Other entries are ignored.

        Returns:
            What the head's ``loss`` gives, and the neck's.

        Raises:
            KeyError: Something is not there.
        """
        label = self._target('label', targets)
        if self.training and self.blending is not None:
            inputs, label = self.blending(inputs, label.reshape(len(inputs), -1).squeeze(1), step_generator())
        feats = self.extract_backbone(inputs)
        losses: dict[str, Tensor] = {}
        if self.neck is not None:
            losses = self.neck.loss(feats, label) if hasattr(self.neck, 'loss') else {}
            feats = self.neck(feats)
        options = {name: self._target(name, targets) for name in self.aux_info}
        return {**losses, **self.head.loss(self.classify(feats, inputs), label, **options)}

    def _target(self, name: str, targets: Mapping[str, Any]) -> Tensor:
        if name not in targets:
            raise KeyError(
                f"{type(self).__name__} needs targets['{name}'], but has {sorted(targets)}; does the pipeline collect "
                f"it: dict(type='Collect', keys=['{self.input_key}', '{name}'], meta_keys=[])?"
            )
        return targets[name]

    # ------------------------------------------------------------------ prediction

    def results_of(self, inputs: Tensor, metas: Sequence[Mapping[str, Any]] | None = None) -> list[Any]:
        """One result per sample of a batch; ``metas`` is not used.

        Raises:
            ValueError: Samples have several views, but ``test_cfg.average_clips`` does not say how to average them.
        """
        if self.testing.feature_extraction:
            return [FeatureResult(each) for each in self.clip_features(inputs).float().cpu().numpy()]
        score_xk = self(inputs).float()
        num_views = len(score_xk) // len(inputs)
        if num_views > 1 and self.testing.average_clips is None:
            raise ValueError(f"a sample has {num_views} views: say test_cfg=dict(average_clips='prob'), or 'score'")
        score_nk = average_views(score_xk, num_views, self.testing.average_clips)
        return [ActionResult.of(scores, classes=self.classes) for scores in score_nk.cpu().numpy()]

    def describe(self, image: Image) -> dict[str, Any]:
        """What the test pipeline starts from: the video as an entry of a data set, without a label."""
        if isinstance(image, (str, Path)):
            return {'filename': str(image), 'start_index': 0, 'modality': 'RGB'}
        return super().describe(image)

    def clip_features(self, inputs: Tensor) -> Tensor:
        """Features ``(N, D)`` of samples: the mean over space, time and views; several pathways are joined."""
        feats = self.extract_feat(inputs)
        paths = feats if isinstance(feats, (tuple, list)) else [feats]
        pooled = torch.cat([each.flatten(2).mean(2) if each.ndim > 2 else each for each in paths], dim=1)
        return pooled.reshape(len(inputs), -1, pooled.shape[1]).mean(dim=1)


def _joined(parts: Sequence[Any]) -> Any:
    """Tensors, or tuples of tensors, after each other along their first axis."""
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return tuple(_joined(same) for same in zip(*parts, strict=True))


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters
