"""Whether each joint can be seen, beside where it is.

Shapes: n people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.parts import build_part
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec, Keypoints
from intarsia.tasks.pose.heads.pose_head import PoseHead

PoseAndVisibility = tuple[Any, Tensor]
"""What the other head gives, and a probability or its logit for each joint, ``(N, K)``."""


@HEADS.register_module()
class VisPredictHead(PoseHead):
    """Another head, and one more linear layer after the mean of the last stage.

    Args:
        pose_cfg: Config of the other head; its ``in_channels`` and ``out_channels`` (or ``num_joints``) are this
            head's, too.
        loss: Node of LOSSES; with ``use_sigmoid`` the layer gives probabilities, without their logits.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``pose_cfg`` says nothing of the number of joints.
    """

    loss_attribute = 'loss_module'
    loss_key = 'loss_vis'
    default_init = (dict(type='Normal', layer='Linear', std=0.01, bias=0),)

    def __init__(
        self,
        pose_cfg: Mapping[str, Any],
        loss: Mapping[str, Any] | None = dict(type='pose.BCELoss', use_target_weight=False, use_sigmoid=True),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(loss, codec, init_cfg)
        self.pose_head = build_part(pose_cfg, 'pose', defaults={'codec': self.codec})
        self.out_channels = pose_cfg.get('num_joints', pose_cfg.get('out_channels'))
        if self.out_channels is None:
            raise ValueError('VisPredictHead: pose_cfg has neither num_joints nor out_channels')
        self.use_sigmoid = bool((loss or {}).get('use_sigmoid', False))
        layers = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(pose_cfg['in_channels'], self.out_channels)]
        self.vis_head = nn.Sequential(*layers, *([nn.Sigmoid()] if self.use_sigmoid else []))

    def forward(self, feats: Features) -> PoseAndVisibility:
        """What the other head gives, and ``(N, K)`` from the last stage, a map or a vector."""
        return self.pose_head(feats), self.seen(feats)

    def seen(self, feats: Features) -> Tensor:
        """What the layer says of each joint, ``(N, K)``."""
        return self.vis_head(feats[-1] if feats[-1].dim() == 4 else feats[-1][..., None, None])

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """``loss_vis``, ``acc_vis`` (the part of joints that is told right), and the losses of the other head.

        Args:
            feats: Stages of the backbone or neck.
            targets: What the other head needs; a joint counts as seen as much as ``target_weight`` says. Joints count
                as ``visible_weight`` (N, K) says, if it is there, and the loss uses weights.
        """
        output_nk = self.seen(feats)
        seen_nk = targets['target_weight'].flatten(2)[..., 0] if targets['target_weight'].dim() > 2 else None
        seen_nk = (targets['target_weight'] if seen_nk is None else seen_nk).float()
        weight_nk = targets.get('visible_weight', torch.ones_like(seen_nk))
        right_nk = ((self.visibility((None, output_nk)) >= 0.5).float() == seen_nk).float()
        accuracy_n = (right_nk * weight_nk).sum(1) / (weight_nk.sum(1) + 1e-6)
        loss = {self.loss_key: self.criterion(output_nk, seen_nk, weight_nk), 'acc_vis': accuracy_n.mean().detach()}
        return {**loss, **self.pose_head.losses(feats, targets)}

    def visibility(self, output: PoseAndVisibility) -> Tensor:
        """How probable it is that each joint can be seen, 0 ... 1, ``(N, K)``."""
        return output[1] if self.use_sigmoid else output[1].sigmoid()

    def flip_back(self, output: PoseAndVisibility, flip_index: Sequence[int]) -> PoseAndVisibility:
        """Outputs for mirrored images, mirrored."""
        self.pose_head.test_cfg = self.test_cfg
        return self.pose_head.flip_back(output[0], flip_index), output[1][:, list(flip_index)]

    def mean(self, first: PoseAndVisibility, second: PoseAndVisibility) -> PoseAndVisibility:
        """The mean of two outputs, as the other head takes it."""
        return self.pose_head.mean(first[0], second[0]), (first[1] + second[1]) / 2

    def decode(self, output: PoseAndVisibility) -> Keypoints:
        """Joints and scores by the other head; for who can be seen ask :meth:`visibility`."""
        return self.pose_head.decode(output[0])
