"""Contextual instance decoupling in the words of the older toolbox.

Shapes: n images, m people at most, p people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.parts import build_part
from intarsia.models.stage_input import Features, transform_inputs
from intarsia.nn.init import bias_init_with_prob
from intarsia.nn.module import BaseModule
from intarsia.tasks.pose.heads.decoupling import (
    ChannelAttention,
    SpatialAttention,
    feats_at,
    middles_of,
    mirrored_together,
    probabilities,
)


@HEADS.register_module()
class CIDHead(BaseModule):
    """Finds middles of people, and of each person the heat maps.

    "Contextual Instance Decoupling for Robust Multi-Person Pose Estimation" (Wang and Zhang, CVPR 2022).

    Args:
        in_channels: Channels of all four stages.
        gfd_channels: Channels that all people share.
        num_joints: K.
        multi_hm_loss_factor: Factor of the loss of everybody's maps.
        single_hm_loss_factor: Factor of the loss of maps of single people.
        contrastive_loss_factor: Factor of the loss of people's features.
        max_train_instances: Of more people in a batch, so many are drawn; negative for all.
        prior_prob: What pixels are first thought to be joints with.
        init_cfg: How weights are initialized.
    """

    default_init = (dict(type='Normal', layer=['Conv2d', 'Linear'], std=0.001),)

    def __init__(
        self,
        in_channels: int,
        gfd_channels: int,
        num_joints: int,
        multi_hm_loss_factor: float = 1.0,
        single_hm_loss_factor: float = 4.0,
        contrastive_loss_factor: float = 1.0,
        max_train_instances: int = 200,
        prior_prob: float = 0.01,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.factors = multi_hm_loss_factor, single_hm_loss_factor, contrastive_loss_factor
        self.num_joints, self.max_train_instances, self.prior_prob = num_joints, max_train_instances, prior_prob
        self.keypoint_center_conv = nn.Conv2d(in_channels, num_joints + 1, 1)
        self.conv_down = nn.Conv2d(in_channels, gfd_channels, 1)
        self.c_attn = ChannelAttention(in_channels, gfd_channels)
        self.s_attn = SpatialAttention(in_channels, gfd_channels)
        self.fuse_attn = nn.Conv2d(2 * gfd_channels, gfd_channels, 1)
        self.heatmap_conv = nn.Conv2d(gfd_channels, num_joints, 1)
        self.heatmap_loss = build_part(dict(type='pose.FocalHeatmapLoss'), 'pose')
        self.contrastive_loss = build_part(dict(type='pose.InfoNCELoss', temperature=0.05), 'pose')

    def init_own_weights(self) -> None:
        """Few pixels are thought to be joints."""
        for conv in (self.keypoint_center_conv, self.heatmap_conv):
            nn.init.constant_(conv.bias, bias_init_with_prob(self.prior_prob))  # type: ignore[arg-type]

    @staticmethod
    def joined(feats: Features) -> Tensor:
        """All stages at the size of the first."""
        return transform_inputs(feats, range(len(feats)), 'resize_concat', False)

    def forward(self, feats: Features) -> Tensor:
        """Heat maps ``(N, K + 1, h, w)`` of everybody, the last one of middles."""
        return probabilities(self.keypoint_center_conv(self.joined(feats)))

    def maps_of(self, feats_nchw: Tensor, image_p: Tensor, place_p2: Tensor, feats_pc: Tensor) -> Tensor:
        """Heat maps ``(P, K, h, w)`` of people at places x, y."""
        maps = self.conv_down(feats_nchw)[image_p]
        both = torch.cat([self.c_attn(maps, feats_pc), self.s_attn(maps, feats_pc, place_p2)], 1)
        return probabilities(self.heatmap_conv(self.fuse_attn(both).relu()))

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """``multi_heatmap_loss``, and if there are people ``single_heatmap_loss`` and ``contrastive_loss``.

        Args:
            feats: Stages of the backbone.
            targets: ``multi_heatmap`` (N, K + 1, h, w), ``multi_mask`` (N, 1, h, w), ``instance_coord`` (N, M, 2), y
                and x, ``instance_heatmap`` (N, M, K, h, w), ``instance_mask`` (N, M, K, 1, 1), ``instance_valid``
                (N, M).
        """
        feats_nchw = self.joined(feats)
        everybody = probabilities(self.keypoint_center_conv(feats_nchw))
        multi = self.heatmap_loss(everybody, targets['multi_heatmap'], None, targets['multi_mask'])
        losses = {'multi_heatmap_loss': multi * self.factors[0]}
        image_p, person_p = (targets['instance_valid'] > 0).nonzero(as_tuple=True)
        if not len(image_p):
            return losses
        place_p2 = targets['instance_coord'][image_p, person_p].long().flip(1)
        feats_pc = feats_at(feats_nchw, image_p, place_p2)
        alike = [self.contrastive_loss(feats_pc[image_p == i]) for i in image_p.unique()]
        kept = torch.arange(len(image_p), device=image_p.device)
        if 0 <= self.max_train_instances < len(image_p):
            kept = torch.randperm(len(image_p), device=image_p.device)[: self.max_train_instances]
        pred = self.maps_of(feats_nchw, image_p[kept], place_p2[kept], feats_pc[kept])
        true, mask = (targets[key][image_p[kept], person_p[kept]] for key in ('instance_heatmap', 'instance_mask'))
        single = self.heatmap_loss(pred, true, None, mask.expand_as(true))
        return {
            **losses,
            'single_heatmap_loss': single * self.factors[1],
            'contrastive_loss': torch.stack(alike).sum() / len(image_p) * self.factors[2],
        }

    def people_in(
        self,
        feats: Features,
        mirrored: Features | None,
        flip_index: Sequence[int] | None,
        test_cfg: Mapping[str, Any],
    ) -> tuple[Tensor, Tensor]:
        """Heat maps ``(P, K, h, w)`` of the people in one image, and their scores.

        Args:
            feats: Stages ``(1, C, h, w)``.
            mirrored: Those of the mirrored image, if it is to be looked at too.
            flip_index: For every joint, which one it is there.
            test_cfg: ``center_pool_kernel``, ``max_num_people``, ``detection_threshold``.
        """
        both = mirrored_together(self.joined(feats), None if mirrored is None else self.joined(mirrored))
        heat = probabilities(self.keypoint_center_conv(both))[:, -1:].mean(0, keepdim=True)
        kernel, most = test_cfg.get('center_pool_kernel', 3), test_cfg.get('max_num_people', 30)
        place_p2, score_p = middles_of(heat, kernel, most, test_cfg.get('detection_threshold', 0.01))
        image_p = place_p2.new_zeros(len(place_p2))
        maps = self.maps_of(both, image_p, place_p2, feats_at(both, image_p, place_p2))
        if mirrored is not None and flip_index is not None:
            other = self.maps_of(both, image_p + 1, place_p2, feats_at(both, image_p + 1, place_p2))
            maps = (maps + other[:, list(flip_index)]) / 2
        return maps, score_p
