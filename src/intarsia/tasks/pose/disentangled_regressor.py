"""Bottom-up pose estimation by ways from the middles of people to their joints, with the names of the older toolbox.

Shapes: n images, p people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import POSENETS
from intarsia.models.parts import build_backbone, build_part
from intarsia.models.task_model import Image, TaskModel
from intarsia.nn.resize import resize
from intarsia.tasks.pose.bottom_up import image_in_memory, result_of_input
from intarsia.tasks.pose.codecs.flip import flip_heatmaps
from intarsia.tasks.pose.codecs.peaks import batch_heatmap_nms
from intarsia.tasks.pose.codecs.spr import scores_at
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.heads.disentangled import RescoreNet
from intarsia.tasks.pose.metrics.nms import nearby_joints_nms
from intarsia.tasks.pose.results import PoseResult
from intarsia.tasks.pose.topdown import Meta, flip_index_of

Poses = tuple[Tensor, Tensor]
"""Joints ``(P, K, 2)`` in pixels, and scores of people ``(P,)``."""


@POSENETS.register_module()
class DisentangledKeypointRegressor(TaskModel):
    """Finds heat maps of joints and middles, and from each middle the way to the joints.

    "Bottom-Up Human Pose Estimation Via Disentangled Keypoint Regression" (Geng et al., 2021, arXiv:2104.02300).

    Args:
        backbone: Config of the backbone, or a module: images to a tuple of stages.
        keypoint_head: Config of the head, a DEKRHead.
        train_cfg: Kept for older configs; nothing in it means anything here.
        test_cfg: ``flip_test`` (on by default), ``align_corners`` (how maps of all sizes
            grow to that of the image, on by default), ``max_num_people``, ``keypoint_threshold`` (middles no
            higher are nothing), ``max_pool_kernel`` (5), ``multi_scale_score_decrease`` (1), ``use_udp``; ``use_nms``
            with ``nms_dist_thr`` and ``nms_joints_thr``; ``rescore_cfg``, arguments of a network that rates poses.
        pretrained: Weights of the backbone.
        dataset_info: The joints: a name (``'coco'``) or a dict; see
            :class:`~intarsia.tasks.pose.dataset_info.DatasetInfo`.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        keypoint_head: Mapping[str, Any] | nn.Module | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        pretrained: str | None = None,
        dataset_info: Mapping[str, Any] | str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.test_cfg = dict(test_cfg or {})
        self.dataset_info = None if dataset_info is None else DatasetInfo.of(dataset_info)
        self.backbone = build_backbone(backbone, 'pose', pretrained)
        self.keypoint_head = build_part(keypoint_head, 'pose')
        rescore = self.test_cfg.get('rescore_cfg')
        if rescore is not None:
            self.rescore_net = RescoreNet(**rescore)

    def forward(self, img_nchw: Tensor) -> Any:
        """Heat maps ``(N, 1 + K, h, w)`` and ways ``(N, 2K, h, w)`` of normalized images, in a list of one."""
        return self.keypoint_head(self.backbone(img_nchw))

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch: ``heatmaps``, ``masks``, ``offsets`` and ``offset_weights``, one for each scale."""
        return self.keypoint_head.losses(self.backbone(inputs), targets)

    # ------------------------------------------------------------------ prediction

    def describe(self, image: Image) -> dict[str, Any]:
        """The image as an array, BGR."""
        return image_in_memory(super().describe(image))

    def results_of(self, inputs: Tensor, metas: Sequence[Meta] | None = None) -> list[PoseResult]:
        """One result for every image of a batch ``(N, C, H, W)``; see :meth:`results_of_augmented`.

        Where ``metas`` hold ``aug_data``, tensors ``(1, C, H, W)`` of several sizes, these are what the network sees.
        """
        results: list[PoseResult] = []
        for i, meta in enumerate(metas or [{}] * len(inputs)):
            views = [view.to(inputs.device) for view in meta.get('aug_data') or [inputs[i : i + 1]]]
            results += self.results_of_augmented(views, [meta])
        return results

    def results_of_augmented(self, inputs: Sequence[Tensor], metas: Sequence[Any]) -> list[PoseResult]:
        """The result for one image, from several sizes of it.

        Args:
            inputs: Normalized images ``(1, C, H, W)``, the largest first.
            metas: Of the image: ``base_size``, its width and height at scale 1, ``test_scale_factor``, and ``center``
                and ``scale`` of what it shows. Without the last two joints are in pixels of the image.

        Raises:
            ValueError: It is not known which joints change places in a mirrored image.
        """
        meta = dict(metas[0])
        factors = sorted(meta.get('test_scale_factor', [1] * len(inputs)), reverse=True)
        base = tuple(int(side) for side in meta.get('base_size') or (inputs[0].shape[3], inputs[0].shape[2]))
        maps, poses = [], []
        for image, factor in zip(inputs, factors, strict=True):
            maps_nkhw, ways_nchw = self._means(image, meta)
            maps.append(maps_nkhw)
            poses.append(self._poses(maps_nkhw[0], ways_nchw[0], image.shape[3] / maps_nkhw.shape[3] / factor))
        resized = [self._resized(each, base[::-1]) for each in maps]
        mean_khw = torch.stack(resized).mean(0)[0]
        xy_pk2, root_p = self._joined(poses, factors)
        score_pk = scores_at(mean_khw[1:], xy_pk2) if len(xy_pk2) else xy_pk2.new_zeros(xy_pk2.shape[:2])
        kept = self._kept(xy_pk2, score_pk)
        return [self._result(xy_pk2[kept], root_p[kept, None] * score_pk[kept], base, meta)]

    def _means(self, img_nchw: Tensor, meta: Meta) -> tuple[Tensor, Tensor]:
        """Heat maps and ways, averaged with those of the mirrored image if asked for."""
        maps, ways = self(img_nchw)[0]
        if self.test_cfg.get('flip_test', True):
            index = flip_index_of(self.dataset_info, meta)
            other_maps, other_ways = self(img_nchw.flip(-1))[0]
            other_maps = flip_heatmaps(other_maps, [0, *(1 + each for each in index)])
            other_ways = flip_heatmaps(other_ways, index, mode='offset')
            other_ways[:, ::2] -= 1  # from joint to pixel, and the first pixel mirrored is the last
            maps, ways = (maps + other_maps) / 2, (ways + other_ways) / 2
        return maps, ways

    def _resized(self, x_nchw: Tensor, size: Sequence[int]) -> Tensor:
        if tuple(x_nchw.shape[2:]) == tuple(size):
            return x_nchw
        align = bool(self.test_cfg.get('align_corners', True))
        return resize(x_nchw, size, mode='bilinear', align_corners=align, warning=False)

    def _poses(self, maps_khw: Tensor, ways_chw: Tensor, factor: float) -> Poses:
        """People at the middles of one size, joints in pixels of the map times ``factor``."""
        width = maps_khw.shape[2]
        peaks = batch_heatmap_nms(maps_khw[None, :1], self.test_cfg.get('max_pool_kernel', 5)).flatten()
        score_p, index = peaks.topk(min(self.test_cfg.get('max_num_people', 30), len(peaks)))
        is_high = score_p > self.test_cfg.get('keypoint_threshold', 0.01)
        score_p, index = score_p[is_high], index[is_high]
        way_pk2 = ways_chw.flatten(1)[:, index].T.unflatten(1, (-1, 2))
        pixel_p2 = torch.stack([index % width, index // width], -1).to(way_pk2)
        return (pixel_p2[:, None] - way_pk2) * factor, score_p

    def _joined(self, poses: Sequence[Poses], factors: Sequence[float]) -> Poses:
        """People of all sizes; the best of each size is as good as that of scale 1, or less good by the config."""
        best = {factor: score_p.max() for factor, (_, score_p) in zip(factors, poses, strict=True) if len(score_p)}
        decrease = self.test_cfg.get('multi_scale_score_decrease', 1.0)
        scores = [
            score_p if factor == 1 or not len(score_p) else score_p * (best.get(1, 1.0) / score_p.max() * decrease)
            for factor, (_, score_p) in zip(factors, poses, strict=True)
        ]
        return torch.cat([xy_pk2 for xy_pk2, _ in poses]), torch.cat(scores)

    def _kept(self, xy_pk2: Tensor, score_pk: Tensor) -> Any:
        """Which people are kept."""
        if not len(xy_pk2) or not self.test_cfg.get('use_nms', False):
            return slice(None)
        return nearby_joints_nms(
            xy_pk2.cpu().numpy(),
            score_pk.mean(1).cpu().numpy(),
            self.test_cfg['nms_dist_thr'],
            self.test_cfg['nms_joints_thr'],
            self.test_cfg.get('max_num_people', 30),
        )

    def _result(self, xy_pk2: Tensor, score_pk: Tensor, base: Sequence[int], meta: Meta) -> PoseResult:
        udp = bool(self.test_cfg.get('use_udp', False))
        found = result_of_input(xy_pk2, score_pk, score_pk.mean(1), base, meta, self.dataset_info, udp)
        if not hasattr(self, 'rescore_net') or not len(found) or self.dataset_info is None:
            return found
        places = torch.from_numpy(found.keypoints).to(score_pk.device)
        factor_p = self.rescore_net(places, score_pk, self.dataset_info.skeleton)
        return dataclasses.replace(found, box_scores=found.box_scores * factor_p.float().cpu().numpy())
