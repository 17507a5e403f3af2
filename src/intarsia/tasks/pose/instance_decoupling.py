"""Bottom-up pose estimation by heat maps of single people, with the names of the older toolbox.

Shapes: n images, p people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import POSENETS
from intarsia.models.parts import build_backbone, build_part
from intarsia.models.task_model import Image, TaskModel
from intarsia.tasks.pose.bottom_up import image_in_memory, result_of_input
from intarsia.tasks.pose.codecs.peaks import get_heatmap_maximum
from intarsia.tasks.pose.codecs.refine import CROSS, values_at
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.heads.decoupling import smoothed
from intarsia.tasks.pose.results import PoseResult
from intarsia.tasks.pose.topdown import Meta, flip_index_of

STRIDE = 4
"""Pixels of the input that one of a map covers."""


@POSENETS.register_module()
class CID(TaskModel):
    """Finds middles of people, and of each person the heat maps.

    "Contextual Instance Decoupling for Robust Multi-Person Pose Estimation" (Wang and Zhang, CVPR 2022).

    Args:
        backbone: Config of the backbone, or a module: images to a tuple of stages.
        keypoint_head: Config of the head, a CIDHead.
        train_cfg: Kept for older configs; nothing in it means anything here.
        test_cfg: ``flip_test`` (on by default), ``center_pool_kernel`` (3), ``max_num_people`` (30) and
            ``detection_threshold`` (0.01).
        pretrained: Weights of the backbone.
        loss_pose: Means nothing: the head has its losses.
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
        loss_pose: Mapping[str, Any] | None = None,
        dataset_info: Mapping[str, Any] | str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.test_cfg = dict(test_cfg or {})
        self.dataset_info = None if dataset_info is None else DatasetInfo.of(dataset_info)
        self.backbone = build_backbone(backbone, 'pose', pretrained)
        self.keypoint_head = build_part(keypoint_head, 'pose')

    def forward(self, img_nchw: Tensor) -> Tensor:
        """Heat maps ``(N, K + 1, h, w)`` of everybody, the last one of middles, for normalized images."""
        return self.keypoint_head(self.backbone(img_nchw))

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch, with the targets of the step CIDGenerateTarget."""
        return self.keypoint_head.losses(self.backbone(inputs), targets)

    # ------------------------------------------------------------------ prediction

    def describe(self, image: Image) -> dict[str, Any]:
        """The image as an array, BGR."""
        return image_in_memory(super().describe(image))

    def results_of(self, inputs: Tensor, metas: Sequence[Meta] | None = None) -> list[PoseResult]:
        """One result for every image of a batch ``(N, C, H, W)``.

        Args:
            inputs: Normalized images.
            metas: Of each image: ``aug_data``, tensors ``(1, C, H, W)`` of several sizes, of which the first is looked
                at instead; ``center`` and ``scale`` of what it shows. Without them joints are in pixels of the image.

        Raises:
            ValueError: It is not known which joints change places in a mirrored image.
        """
        results = []
        for i, meta in enumerate(metas or [{}] * len(inputs)):
            views = meta.get('aug_data')
            image = views[0].to(inputs.device) if views else inputs[i : i + 1]
            results.append(self._result(image, meta))
        return results

    def _result(self, image_1chw: Tensor, meta: Meta) -> PoseResult:
        flips = bool(self.test_cfg.get('flip_test', True))
        index = flip_index_of(self.dataset_info, meta) if flips else None
        feats = self.backbone(image_1chw)
        mirrored = self.backbone(image_1chw.flip(-1)) if flips else None
        maps, root_p = self.keypoint_head.people_in(feats, mirrored, index, self.test_cfg)
        maps = smoothed(maps, self.test_cfg.get('center_pool_kernel', 3))
        xy_pk2, score_pk = get_heatmap_maximum(maps)
        score_pk = score_pk * root_p[:, None]
        xy_pk2 = _moved(xy_pk2, maps) * STRIDE + STRIDE / 2
        size = meta.get('base_size') or (image_1chw.shape[3], image_1chw.shape[2])
        return result_of_input(xy_pk2, score_pk, score_pk.mean(1), size, meta, self.dataset_info)


def _moved(xy_pk2: Tensor, maps_pkhw: Tensor) -> Tensor:
    """A quarter of a pixel towards the greater neighbour, in x and in y; not at the border."""
    right, left, below, above = values_at(maps_pkhw, xy_pk2, CROSS)
    last = torch.tensor([maps_pkhw.shape[3] - 1, maps_pkhw.shape[2] - 1], device=xy_pk2.device)
    inner = (xy_pk2 > 0) & (xy_pk2 < last)
    return xy_pk2 + torch.stack([right - left, below - above], -1).sign() * inner * 0.25
