"""Contextual instance decoupling in the words of the newer toolbox.

Shapes: n images, p people, k joints, c channels, h rows, w columns; places are x, y in pixels of the maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.parts import build_part
from intarsia.models.stage_input import Features
from intarsia.nn.init import bias_init_with_prob
from intarsia.tasks.pose.codecs.associative_embedding import People
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.bottomup_head import BottomupHead, Views
from intarsia.tasks.pose.heads.decoupling import (
    ChannelAttention,
    SpatialAttention,
    feats_at,
    middles_of,
    mirrored_together,
    probabilities,
    smoothed,
)


class Abstraction(nn.Module):
    """Heat maps of joints and of people's middles. State key: ``keypoint_root_conv``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.keypoint_root_conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, feats_nchw: Tensor) -> Tensor:
        """``(N, K + 1, h, w)``, probabilities."""
        return probabilities(self.keypoint_root_conv(feats_nchw))


class Decoupling(nn.Module):
    """Heat maps of single people.

    State keys: ``conv_down``, ``channel_attention``, ``spatial_attention``, ``fuse_attention``, ``heatmap_conv``.
    """

    def __init__(self, in_channels: int, out_channels: int, channels: int) -> None:
        super().__init__()
        self.conv_down = nn.Conv2d(in_channels, channels, 1)
        self.channel_attention = ChannelAttention(in_channels, channels)
        self.spatial_attention = SpatialAttention(in_channels, channels, offset=0.5)
        self.fuse_attention = nn.Conv2d(2 * channels, channels, 1)
        self.heatmap_conv = nn.Conv2d(channels, out_channels, 1)

    def forward(self, feats_nchw: Tensor, image_p: Tensor, place_p2: Tensor, feats_pc: Tensor) -> Tensor:
        """``(P, K, h, w)``, probabilities."""
        maps = self.conv_down(feats_nchw)[image_p]
        both = [self.channel_attention(maps, feats_pc), self.spatial_attention(maps, feats_pc, place_p2)]
        return probabilities(self.heatmap_conv(self.fuse_attention(torch.cat(both, 1)).relu()))


@HEADS.register_module()
class BottomupCIDHead(BottomupHead):
    """Finds middles of people, and of each person the heat maps.

    "Contextual Instance Decoupling for Robust Multi-Person Pose Estimation" (Wang and Zhang, CVPR 2022). Configs of 1.x
    call it ``CIDHead``.

    Args:
        in_channels: Channels of the last map.
        gfd_channels: Channels that all people share.
        num_keypoints: K.
        prior_prob: What pixels are first thought to be joints with.
        coupled_heatmap_loss: Node of LOSSES, of everybody's maps.
        decoupled_heatmap_loss: Node of LOSSES, of maps of single people.
        contrastive_loss: Node of LOSSES, of people's features.
        codec: The codec of the model, or its node: a DecoupledHeatmap.
        init_cfg: How weights are initialized.
    """

    default_init = (
        dict(type='Normal', layer=['Conv2d', 'Linear'], std=0.001),
        dict(type='Constant', layer='BatchNorm2d', val=1),
    )
    train_cfg: Mapping[str, Any] = {}

    def __init__(
        self,
        in_channels: int,
        gfd_channels: int,
        num_keypoints: int,
        prior_prob: float = 0.01,
        coupled_heatmap_loss: Mapping[str, Any] | None = dict(type='pose.FocalHeatmapLoss'),
        decoupled_heatmap_loss: Mapping[str, Any] | None = dict(type='pose.FocalHeatmapLoss'),
        contrastive_loss: Mapping[str, Any] | None = dict(type='pose.InfoNCELoss'),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(None, codec, init_cfg)
        self.num_keypoints, self.prior_prob = num_keypoints, prior_prob
        self.iia_module = Abstraction(in_channels, num_keypoints + 1)
        self.gfd_module = Decoupling(in_channels, num_keypoints, gfd_channels)
        losses = {
            'heatmap_coupled': build_part(coupled_heatmap_loss, 'pose'),
            'heatmap_decoupled': build_part(decoupled_heatmap_loss, 'pose'),
            'contrastive': build_part(contrastive_loss, 'pose'),
        }
        self.loss_module = nn.ModuleDict(losses)

    def init_own_weights(self) -> None:
        """Few pixels are thought to be joints."""
        for conv in (self.iia_module.keypoint_root_conv, self.gfd_module.heatmap_conv):
            nn.init.constant_(conv.bias, bias_init_with_prob(self.prior_prob))  # type: ignore[arg-type]

    def forward(self, feats: Features) -> Tensor:
        """Heat maps ``(P, K, h, w)`` of the people in the first image."""
        feats_nchw = feats[-1]
        place_p2, _ = self._middles(feats_nchw, False)
        return self._maps_of(feats_nchw, place_p2, place_p2.new_zeros(len(place_p2)))

    def _middles(self, feats_nchw: Tensor, flips: bool) -> tuple[Tensor, Tensor]:
        heat = self.iia_module(feats_nchw)[:, -1:]
        heat = heat.mean(0, keepdim=True) if flips else heat[:1]
        cfg = self.test_cfg
        return middles_of(
            heat, cfg.get('blur_kernel_size', 3), cfg.get('max_instances', 30), cfg.get('score_threshold', 0.01)
        )

    def _maps_of(self, feats_nchw: Tensor, place_p2: Tensor, image_p: Tensor) -> Tensor:
        return self.gfd_module(feats_nchw, image_p, place_p2, feats_at(feats_nchw, image_p, place_p2))

    # ------------------------------------------------------------------ training

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """``loss/heatmap_coupled``, and if there are people ``loss/heatmap_decoupled`` and ``loss/contrastive``.

        Args:
            feats: Stages of the backbone or neck.
            targets: ``target`` (N, K + 1, h, w); for each image ``instance_target`` (PK, h, w), ``target_weight``
                (P, K) and ``instance_coords`` (P, 2); and ``heatmap_mask`` (N, h, w) if there is one.
        """
        feats_nchw, coords = feats[-1], list(targets['instance_coords'])
        coupled = self.loss_module['heatmap_coupled']
        found = coupled(self.iia_module(feats_nchw), targets['target'], None, self.mask_of(targets))
        losses = {'loss/heatmap_coupled': found}
        image_p = torch.cat([torch.full((len(each),), i, device=feats_nchw.device) for i, each in enumerate(coords)])
        if not len(image_p):
            return losses
        place_p2, weight_pk = torch.cat(coords).long(), torch.cat(list(targets['target_weight']))
        maps_pkhw = torch.cat([each.unflatten(0, (-1, self.num_keypoints)) for each in targets['instance_target']])
        feats_pc = feats_at(feats_nchw, image_p, place_p2)
        alike = [self.loss_module['contrastive'](feats_pc[image_p == i]) for i in range(len(coords))]
        most = self.train_cfg.get('max_train_instances', -1)
        kept = torch.arange(len(image_p), device=feats_nchw.device)
        if 0 < most < len(image_p):
            kept = torch.randperm(len(image_p), device=feats_nchw.device)[:most]
        pred = self.gfd_module(feats_nchw, image_p[kept], place_p2[kept], feats_pc[kept])
        decoupled = self.loss_module['heatmap_decoupled'](pred, maps_pkhw[kept], weight_pk[kept])
        return {
            **losses,
            'loss/heatmap_decoupled': decoupled,
            'loss/contrastive': torch.stack(alike).sum() / len(image_p),
        }

    # ------------------------------------------------------------------ prediction

    def people_of(
        self, views: Views, flip_index: Sequence[int] | None, input_width: int, skeleton: Sequence[Sequence[int]]
    ) -> list[People]:
        """See :meth:`BottomupHead.people_of`; of several sizes, the first is looked at."""
        feats, mirrored = views[0]
        count = len(feats[-1])
        return [
            self._people(feats[-1][i : i + 1], None if mirrored is None else mirrored[-1][i : i + 1], flip_index)
            for i in range(count)
        ]

    def _people(self, feats_1chw: Tensor, mirrored_1chw: Tensor | None, flip_index: Sequence[int] | None) -> People:
        feats = mirrored_together(feats_1chw, mirrored_1chw)
        place_p2, root_p = self._middles(feats, mirrored_1chw is not None)
        maps = self._maps_of(feats, place_p2, place_p2.new_zeros(len(place_p2)))
        if mirrored_1chw is not None and flip_index is not None:
            other = self._maps_of(feats, place_p2, place_p2.new_ones(len(place_p2)))
            maps = (maps + other[:, list(flip_index)]) / 2
        if not len(place_p2):
            nobody = maps.new_zeros(0, self.num_keypoints, 2)
            return People(nobody, nobody[..., 0], nobody[..., :0], root_p)
        maps = smoothed(maps, self.test_cfg.get('blur_kernel_size', 3))
        xy_pk2, score_pk = self.known_codec.decode((maps, root_p[:, None]))
        xy_pk2 = xy_pk2 + torch.as_tensor(self.known_codec.stride / 2, dtype=xy_pk2.dtype, device=xy_pk2.device)
        return People(xy_pk2, score_pk, score_pk.new_zeros(*score_pk.shape, 0), score_pk.mean(1))
