"""The segmentor: backbone, neck, decode head, auxiliary heads.

Shapes: n images, k classes (or one channel), h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import SEGMENTORS
from intarsia.models.parts import build_backbone, build_part
from intarsia.models.task_model import TaskModel
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.inference import Inference, Meta
from intarsia.tasks.segmentation.results import SegmentationResult


@SEGMENTORS.register_module()
class EncoderDecoder(TaskModel):
    """Gives every pixel of an image a class.

    Args:
        backbone: Config of the backbone, or a module: images to a tuple of stages.
        decode_head: Config of the head whose logits are the prediction.
        neck: Config of the neck: stages to stages.
        auxiliary_head: Config of a head that only adds to the loss in training, or several.
        train_cfg: Settings of heads in training: attributes that their ``cfg_fields`` name.
        test_cfg: How an image is predicted: arguments of :class:`~intarsia.tasks.segmentation.inference.Inference`, and
            settings of heads.
        pretrained: Weights of the backbone.
        init_cfg: How weights are initialized.
    """

    palette: Sequence[Sequence[int]] | None = None
    """Colours of the classes, RGB, for pictures; set from the data set or the checkpoint."""

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        decode_head: Any,
        neck: Mapping[str, Any] | nn.Module | None = None,
        auxiliary_head: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        pretrained: str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.backbone = build_backbone(backbone, 'segmentation', pretrained)
        self.neck = build_part(neck, 'segmentation')
        self.decode_head = build_part(decode_head, 'segmentation')
        self.auxiliary_head = build_part(auxiliary_head, 'segmentation')
        self._set_up_heads(train_cfg or {})
        self.testing = Inference(**self._set_up_heads(test_cfg or {}))
        self.num_classes, self.out_channels = self.last_head.num_classes, self.last_head.out_channels

    def _set_up_heads(self, cfg: Mapping[str, Any]) -> dict[str, Any]:
        """Give heads the settings that are theirs, and return the others."""
        heads = [head for head in self.decode_head.modules() if isinstance(head, BaseDecodeHead)]
        taken = {name for head in heads for name in head.cfg_fields if name in cfg}
        for head in heads:
            for name in taken.intersection(head.cfg_fields):
                setattr(head, name, cfg[name])
        return {name: value for name, value in cfg.items() if name not in taken}

    @property
    def last_head(self) -> Any:
        """The head whose logits are the prediction."""
        return self.decode_head

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return self.neck is not None

    @property
    def with_auxiliary_head(self) -> bool:
        """Whether there are auxiliary heads."""
        return self.auxiliary_head is not None

    # ------------------------------------------------------------------ the network

    def extract_feat(self, img_nchw: Tensor) -> Any:
        """Stages of normalized images ``(N, C, H, W)``, after the neck."""
        feats = self.backbone(img_nchw)
        return feats if self.neck is None else self.neck(feats)

    def decode(self, feats: Any) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        return self.decode_head(feats)

    def forward(self, img_nchw: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)`` at the size of the images."""
        feats, size = self.extract_feat(img_nchw), img_nchw.shape[2:]
        if hasattr(self.decode_head, 'logits_at'):
            return self.decode_head.logits_at(feats, size)
        return resize(self.decode(feats), size=size, mode='bilinear', align_corners=self.last_head.align_corners)

    # ------------------------------------------------------------------ losses

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Normalized images ``(N, C, H, W)``.
            targets: ``gt_semantic_seg``: labels ``(N, 1, H, W)``, integers. Other entries are ignored.

        Returns:
            Losses and accuracies by name: ``decode.loss_ce``, ``decode.acc_seg``, ``aux.loss_ce``, ``aux_0.loss_ce``.

        Raises:
            KeyError: There is no ``gt_semantic_seg``.
        """
        if 'gt_semantic_seg' not in targets:
            raise KeyError(
                f"{type(self).__name__} needs targets['gt_semantic_seg'], but has {sorted(targets)}; "
                "does the pipeline collect it: dict(type='Collect', keys=['img', 'gt_semantic_seg'])?"
            )
        target_n1hw = targets['gt_semantic_seg']
        feats = self.extract_feat(inputs)
        more = self._more_targets(targets)
        if more:
            decode_losses = prefixed('decode', self.decode_head.loss(feats, target_n1hw, **more))
        else:
            decode_losses = self.decode_loss(feats, target_n1hw)
        return {**decode_losses, **self.auxiliary_loss(feats, target_n1hw)}

    def _more_targets(self, targets: Mapping[str, Any]) -> dict[str, Any]:
        """What the decode head takes besides labels."""
        names = getattr(self.decode_head, 'more_targets', ())
        for name in names:
            if name not in targets:
                raise KeyError(
                    f'{type(self.decode_head).__name__} needs targets[{name!r}], but has {sorted(targets)}; '
                    'does the pipeline make and collect it?'
                )
        return {name: targets[name] for name in names}

    def decode_loss(self, feats: Any, target_n1hw: Tensor) -> dict[str, Tensor]:
        """Losses of the decode head."""
        return prefixed('decode', self.decode_head.loss(feats, target_n1hw))

    def auxiliary_loss(self, feats: Any, target_n1hw: Tensor) -> dict[str, Tensor]:
        """Losses of the auxiliary heads, if there are any."""
        losses: dict[str, Tensor] = {}
        several = isinstance(self.auxiliary_head, nn.ModuleList)
        heads = list(self.auxiliary_head) if several else [self.auxiliary_head] if self.auxiliary_head else []
        for i, head in enumerate(heads):
            losses |= prefixed(f'aux_{i}' if several else 'aux', head.loss(feats, target_n1hw))
        return losses

    # ------------------------------------------------------------------ prediction

    def results_of(self, inputs: Tensor, metas: Sequence[Meta] | None = None) -> list[SegmentationResult]:
        """One result per image of a batch ``(N, C, H, W)``; with ``metas`` at the size of the original images."""
        return self._results(self.testing.logits_at_original_size(self, inputs, metas))

    def results_of_augmented(
        self, inputs: Sequence[Tensor], metas: Sequence[Sequence[Meta]]
    ) -> list[SegmentationResult]:
        """One result per image, from the mean probabilities of several versions of each: other sizes, or flipped."""
        return self._results(self.testing.mean_probabilities(self, inputs, metas), are_probabilities=True)

    def _results(self, scores: Sequence[Tensor], are_probabilities: bool = False) -> list[SegmentationResult]:
        masks = [self.testing.decide(score_khw, self.last_head.threshold, are_probabilities) for score_khw in scores]
        return [SegmentationResult(mask_hw.cpu().numpy(), self.classes, self.palette) for mask_hw in masks]


def prefixed(prefix: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same with ``prefix.`` before every name."""
    return {f'{prefix}.{name}': value for name, value in losses.items()}
