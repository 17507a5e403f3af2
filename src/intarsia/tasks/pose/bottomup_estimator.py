"""Bottom-up pose estimation with the names of the newer toolbox: a head that finds all people in an image.

Shapes: n images, p people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from intarsia.core.registries import POSENETS
from intarsia.models.parts import build_backbone, build_part
from intarsia.models.task_model import Image, TaskModel
from intarsia.tasks.pose.bottom_up import boxes_around, image_in_memory
from intarsia.tasks.pose.codecs.associative_embedding import People
from intarsia.tasks.pose.codecs.codec import Codec, build_codec
from intarsia.tasks.pose.complete import by_new_rules
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.results import PoseResult
from intarsia.tasks.pose.topdown import Meta, build_head, flip_index_of


@POSENETS.register_module()
class BottomupPoseEstimator(TaskModel):
    """Finds the joints of all people in an image.

    Args:
        backbone: Config of the backbone, or a module: images to a tuple of stages.
        neck: Config of the neck: stages to stages.
        head: Config of the head: stages to outputs from which it makes people.
        train_cfg: ``max_train_instances``, for heads that look at people one by one.
        test_cfg: ``flip_test`` (off by default), and what the head asks of it.
        codec: Node of CODECS: how joints become targets and outputs joints.
        dataset_info: The joints: a name (``'coco'``) or a dict; see
            :class:`~intarsia.tasks.pose.dataset_info.DatasetInfo`.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        neck: Mapping[str, Any] | nn.Module | None = None,
        head: Mapping[str, Any] | nn.Module | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        codec: Codec | Mapping[str, Any] | None = None,
        dataset_info: DatasetInfo | Mapping[str, Any] | str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.train_cfg, self.test_cfg = dict(train_cfg or {}), dict(test_cfg or {})
        self.codec: Codec | None = build_codec(by_new_rules(codec))
        self.dataset_info = None if dataset_info is None else DatasetInfo.of(dataset_info)
        self.backbone = build_backbone(backbone, 'pose', None)
        self.neck = build_part(neck, 'pose')
        self.head = build_head(head, self.codec)
        if self.head is not None:
            self.head.test_cfg, self.head.train_cfg = self.test_cfg, self.train_cfg

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return self.neck is not None

    def extract_feat(self, img_nchw: Tensor) -> Any:
        """Stages of normalized images ``(N, C, H, W)``, after the neck."""
        feats = self.backbone(img_nchw)
        return feats if self.neck is None else self.neck(feats)

    def forward(self, img_nchw: Tensor) -> Any:
        """What the head gives for normalized images ``(N, C, H, W)``."""
        feats = self.extract_feat(img_nchw)
        return feats if self.head is None else self.head(feats)

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch: what the codec encoded, and ``heatmap_mask`` if there is one."""
        return self.head.losses(self.extract_feat(inputs), targets)

    # ------------------------------------------------------------------ prediction

    def describe(self, image: Image) -> dict[str, Any]:
        """The image as an array, BGR."""
        return image_in_memory(super().describe(image))

    def results_of(self, inputs: Tensor, metas: Sequence[Meta] | None = None) -> list[PoseResult]:
        """One result for every image of a batch ``(N, C, H, W)``; see :meth:`results_of_augmented`.

        Where ``metas`` hold ``aug_data``, tensors ``(1, C, H, W)`` of further sizes, the network sees these too.
        """
        if not metas or not metas[0].get('aug_data'):
            return self.results_of_augmented([inputs], metas or [{}] * len(inputs))
        results: list[PoseResult] = []
        for i, meta in enumerate(metas):
            views = [inputs[i : i + 1], *(view.to(inputs.device) for view in meta['aug_data'])]
            results += self.results_of_augmented(views, [meta])
        return results

    def results_of_augmented(self, inputs: Sequence[Tensor], metas: Sequence[Any]) -> list[PoseResult]:
        """One result for every image, from several sizes of it.

        Args:
            inputs: Normalized images ``(N, C, H, W)``, the size that joints are looked for in first.
            metas: Of each image: ``input_center`` and ``input_scale``, middle and size of what it shows in pixels of
                the original. Without them joints are in pixels of the input.

        Raises:
            ValueError: It is not known which joints change places in a mirrored image.
        """
        flips = bool(self.test_cfg.get('flip_test', False))
        index = flip_index_of(self.dataset_info, dict(metas[0])) if flips else None
        views = [(self.extract_feat(img), self.extract_feat(img.flip(-1)) if flips else None) for img in inputs]
        skeleton = self.dataset_info.skeleton if self.dataset_info is not None else ()
        people = self.head.people_of(views, index, inputs[0].shape[-1], skeleton)
        size = np.array([inputs[0].shape[3], inputs[0].shape[2]], np.float64)
        return [self._result(found, dict(meta), size) for found, meta in zip(people, metas, strict=True)]

    def _result(self, people: People, meta: Meta, size: np.ndarray) -> PoseResult:
        scale, center = np.asarray(meta.get('input_scale', size)), np.asarray(meta.get('input_center', size / 2))
        xy_pk2 = (people.keypoints.cpu().numpy() / size * scale + center - 0.5 * scale).astype(np.float32)
        score_pk = people.scores.cpu().numpy()
        return PoseResult(
            keypoints=xy_pk2,
            scores=score_pk,
            boxes=boxes_around(xy_pk2, score_pk > 0),
            box_scores=people.person_scores.cpu().numpy().astype(np.float32),
            info=self.dataset_info,
            tags=people.tags.cpu().numpy(),
        )
