"""Disentangled keypoint regression in the words of the newer toolbox.

Shapes: n images, p people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.parts import build_part
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.associative_embedding import People
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.codecs.flip import flip_heatmaps
from intarsia.tasks.pose.heads.bottomup_head import BottomupHead, Views
from intarsia.tasks.pose.heads.disentangled import RescoreNet, heatmap_layers, init_of_layers, offset_layers
from intarsia.tasks.pose.metrics.nms import nearby_joints_nms


@HEADS.register_module()
class BottomupDEKRHead(BottomupHead):
    """Heat maps of joints and of middles of people, and from each pixel the way to the joints of the person there.

    "Bottom-Up Human Pose Estimation Via Disentangled Keypoint Regression" (Geng et al., 2021, arXiv:2104.02300).
    Configs of 1.x call it ``DEKRHead``.

    Args:
        in_channels: Channels of the last map.
        num_keypoints: K.
        num_heatmap_filters: Channels of the layers of heat maps.
        num_displacement_filters_per_keypoint: Channels of the layers of each joint's way.
        heatmap_loss: Node of LOSSES.
        displacement_loss: Node of LOSSES.
        rescore_cfg: Arguments of :class:`~intarsia.tasks.pose.heads.disentangled.RescoreNet`; None for none.
        codec: The codec of the model, or its node: an SPR.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: int,
        num_keypoints: int,
        num_heatmap_filters: int = 32,
        num_displacement_filters_per_keypoint: int = 15,
        heatmap_loss: Mapping[str, Any] | None = dict(type='pose.KeypointMSELoss', use_target_weight=True),
        displacement_loss: Mapping[str, Any] | None = dict(
            type='pose.SoftWeightSmoothL1Loss', use_target_weight=True, supervise_empty=False
        ),
        rescore_cfg: Mapping[str, Any] | None = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(None, codec, init_cfg)
        self.num_keypoints = num_keypoints
        self.heatmap_conv_layers = heatmap_layers(in_channels, num_heatmap_filters, num_keypoints)
        width = num_displacement_filters_per_keypoint
        self.displacement_conv_layers = offset_layers(in_channels, width, num_keypoints)
        losses = {'heatmap': build_part(heatmap_loss, 'pose'), 'displacement': build_part(displacement_loss, 'pose')}
        self.loss_module = nn.ModuleDict(losses)
        self.rescore_net = None if rescore_cfg is None else RescoreNet(**rescore_cfg)

    def init_own_weights(self) -> None:
        """Small weights everywhere, and squares of taps that begin unmoved."""
        init_of_layers(self.heatmap_conv_layers)
        init_of_layers(self.displacement_conv_layers)

    def forward(self, feats: Features) -> tuple[Tensor, Tensor]:
        """Heat maps ``(N, K + 1, h, w)``, the last one of middles, and ways ``(N, 2K, h, w)``, from pixel to joint."""
        return self.heatmap_conv_layers(feats[-1]), self.displacement_conv_layers(feats[-1])

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """``loss/heatmap`` and ``loss/displacement``.

        Args:
            feats: Stages of the backbone or neck.
            targets: ``heatmaps``, ``heatmap_weights``, ``displacements`` and ``displacement_weights`` of the codec, and
                ``heatmap_mask`` ``(N, h, w)`` if there is one: where pixels count.
        """
        maps, ways = self(feats)
        mask = self.mask_of(targets)
        heat = self.loss_module['heatmap'](maps, targets['heatmaps'], targets['heatmap_weights'], mask)
        way = self.loss_module['displacement'](ways, targets['displacements'], targets['displacement_weights'])
        return {'loss/heatmap': heat, 'loss/displacement': way}

    # ------------------------------------------------------------------ prediction

    def people_of(
        self, views: Views, flip_index: Sequence[int] | None, input_width: int, skeleton: Sequence[Sequence[int]]
    ) -> list[People]:
        """See :meth:`BottomupHead.people_of`; of several sizes, the first is looked at."""
        maps, ways = self._means(*views[0], flip_index, input_width)
        return [self._person(*each, skeleton) for each in zip(maps, ways, strict=True)]

    def _means(
        self, feats: Features, mirrored: Features | None, flip_index: Sequence[int] | None, input_width: int
    ) -> tuple[Tensor, Tensor]:
        maps, ways = self(feats)
        if mirrored is None or flip_index is None:
            return maps, ways
        other_maps, other_ways = self(mirrored)
        shift = bool(self.test_cfg.get('shift_heatmap', False))
        other_maps = flip_heatmaps(other_maps, [*flip_index, len(flip_index)], shift)
        other_ways = flip_heatmaps(other_ways, flip_index, mode='offset')
        stride = input_width / maps.shape[-1]
        other_ways[:, ::2] += (stride - 1) / stride
        return (maps + other_maps) / 2, (ways + other_ways) / 2

    def _person(self, maps_khw: Tensor, ways_chw: Tensor, skeleton: Sequence[Sequence[int]]) -> People:
        people = self.known_codec.decode((maps_khw, ways_chw))
        root_p = people.person_scores
        if self.rescore_net is not None and len(skeleton) and len(root_p):
            root_p = root_p * self.rescore_net(people.keypoints, people.scores, skeleton)
        scores = root_p[:, None] * people.scores
        kept = slice(None)
        if len(root_p) and self.test_cfg.get('nms_dist_thr', 0) > 0:
            kept = nearby_joints_nms(  # type: ignore[assignment]
                people.keypoints.cpu().numpy(),
                people.scores.mean(1).cpu().numpy(),
                self.test_cfg['nms_dist_thr'],
                self.test_cfg.get('nms_joints_thr'),
                self.test_cfg.get('max_num_people', 30),
            )
        return People(people.keypoints[kept], scores[kept], people.tags[kept], scores[kept].mean(1))
