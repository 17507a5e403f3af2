"""Top-down pose estimation: a crop of one person in, its joints out.

Shapes: n people (crops), k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from intarsia.core.arguments import signature_of
from intarsia.core.registries import MODELS, POSENETS
from intarsia.models.parts import build_backbone, build_part
from intarsia.models.task_model import Image, TaskModel, is_list_of_images
from intarsia.tasks.pose.boxes import Boxes, boxes_of
from intarsia.tasks.pose.codecs.codec import Codec, build_codec
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.heads.plain_head import PlainHead
from intarsia.tasks.pose.heads.pose_head import PoseHead
from intarsia.tasks.pose.results import PoseResult
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD
from intarsia.tasks.pose.transforms.flip import partners

Meta = Mapping[str, Any]


class TopDownModel(TaskModel):
    """Backbone, neck and head; what the two classes below have in common.

    ``test_cfg`` holds ``flip_test`` (whether outputs are averaged with those of the mirrored crop), and what the head
    asks of it: ``shift_heatmap``, ``regression_flip_shift``. ``flip_test`` needs ``dataset_info``.
    """

    head_attribute: ClassVar[str]
    """Under which name the head is a part of the model, and begins the names of its weights."""
    flips_by_default: ClassVar[bool] = False
    """Whether outputs are averaged with those of the mirrored crop where ``test_cfg`` does not say."""
    head: Any

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        neck: Any,
        head: Mapping[str, Any] | nn.Module | None,
        test_cfg: Mapping[str, Any] | None,
        codec: Codec | Mapping[str, Any] | None,
        dataset_info: DatasetInfo | Mapping[str, Any] | str | None,
        init_cfg: Any,
        pretrained: str | None = None,
        loss_pose: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.test_cfg = dict(test_cfg or {})
        self.codec: Codec | None = build_codec(codec)
        self.dataset_info = None if dataset_info is None else DatasetInfo.of(dataset_info)
        self.backbone = build_backbone(backbone, 'pose', pretrained)
        self.neck = build_part(neck, 'pose')
        self.add_module(self.head_attribute, build_head(head, self.codec))
        self._plain_head: PlainHead | None = None
        if isinstance(self.head, PoseHead):
            self.head.test_cfg = self.test_cfg
            self.head.codec = self.head.codec or self.codec
        elif self.head is not None:
            self.loss_pose = build_part(loss_pose, 'pose')
            self._plain_head = PlainHead(self.head, self.loss_pose, self.codec, self.test_cfg)

    @property
    def face(self) -> Any:
        """The head as this model calls it."""
        return self._plain_head or self.head

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return self.neck is not None

    # ------------------------------------------------------------------ the network

    def extract_feat(self, img_nchw: Tensor) -> Any:
        """Stages of normalized crops ``(N, C, H, W)``, after the neck."""
        feats = self.backbone(img_nchw)
        return feats if self.neck is None else self.neck(feats)

    def forward(self, img_nchw: Tensor) -> Any:
        """What the head gives for normalized crops ``(N, C, H, W)``: heat maps, coordinates, ..."""
        feats = self.extract_feat(img_nchw)
        return feats if self.head is None else self.head(feats)

    # ------------------------------------------------------------------ losses

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Normalized crops ``(N, C, H, W)``.
            targets: What the codec encoded: ``target`` and ``target_weight``, or what else the head needs.

        Raises:
            KeyError: Targets are missing.
            TypeError: The head has no losses.
        """
        try:
            return self.face.losses(self.extract_feat(inputs), targets)
        except KeyError as error:
            if error.args and error.args[0] in targets:
                raise
            raise KeyError(
                f'{type(self.head).__name__} needs targets[{error}], but has {sorted(targets)}; '
                "does the pipeline collect it: dict(type='Collect', keys=['img', 'target', 'target_weight'])?"
            ) from error

    # ------------------------------------------------------------------ prediction

    @property
    def flip_test(self) -> bool:
        """Whether outputs are averaged with those of the mirrored crop."""
        return bool(self.test_cfg.get('flip_test', self.flips_by_default))

    def outputs_of(self, inputs: Tensor, metas: Sequence[Meta] | None = None) -> Any:
        """Outputs of the head for crops ``(N, C, H, W)``, averaged with those of the mirrored crops if asked for.

        Raises:
            ValueError: It is not known which joints change places in a mirrored image.
        """
        output = self(inputs)
        if not self.flip_test:
            return output
        meta, num_joints = metas[0] if metas else {}, getattr(self.head, 'out_channels', 0)
        index = flip_index_of(self.dataset_info, meta, num_joints)
        mirrored = self.face.flip_back(self(inputs.flip(-1)), index)
        return self.face.mean(output, mirrored)

    def results_of(self, inputs: Tensor, metas: Sequence[Meta] | None = None) -> list[PoseResult]:
        """One result, of one person, for every crop of a batch ``(N, C, H, W)``.

        Args:
            inputs: Normalized crops.
            metas: ``center`` and ``scale`` of the box that each crop shows, in pixels of its image and in 200 pixels;
                ``bbox`` (x, y, width, height) and ``bbox_score`` go into the results. Without them joints are in
                pixels of the crop.
        """
        keypoints_nk2, score_nk = self.face.decode(self.outputs_of(inputs, metas))
        size_2 = torch.tensor([inputs.shape[3], inputs.shape[2]], device=keypoints_nk2.device)
        center_n2, box_size_n2 = self._boxes_of_crops(metas, len(inputs), size_2)
        keypoints_nk2 = (keypoints_nk2 / size_2 - 0.5) * box_size_n2[:, None] + center_n2[:, None]
        boxes_n4 = torch.cat([center_n2 - box_size_n2 / 2, box_size_n2], 1)
        keypoints, scores, boxes = (x.float().cpu().numpy() for x in (keypoints_nk2, score_nk, boxes_n4))
        areas = boxes[:, 2] * boxes[:, 3]
        given = metas or [{}] * len(inputs)
        return [
            PoseResult(
                keypoints=keypoints[i : i + 1],
                scores=scores[i : i + 1],
                boxes=np.asarray(meta.get('bbox', boxes[i]), np.float32).reshape(1, -1)[:, :4],
                box_scores=np.asarray(meta.get('bbox_score', 1.0), np.float32).reshape(1),
                areas=areas[i : i + 1],
                info=self.dataset_info,
            )
            for i, meta in enumerate(given)
        ]

    def _boxes_of_crops(self, metas: Sequence[Meta] | None, count: int, size_2: Tensor) -> tuple[Tensor, Tensor]:
        """Centre and size ``(N, 2)`` of what each crop shows, in pixels of its image."""
        if metas is None:
            return size_2.expand(count, 2) / 2, size_2.expand(count, 2).float()
        center, scale = (np.array([np.asarray(meta[key]) for meta in metas], np.float32) for key in ('center', 'scale'))
        return torch.from_numpy(center).to(size_2.device), torch.from_numpy(scale * PIXEL_STD).to(size_2.device)

    def predict(
        self,
        inputs: Tensor | Sequence[Image],
        metas: Sequence[Meta] | None = None,
        batch_size: int = 32,
        *,
        boxes: Boxes = None,
    ) -> list[PoseResult]:
        """Predict a batch of crops, or the people in images.

        Args:
            inputs: A batch for the network, on its device; or images (files, or uint8 BGR arrays ``(H, W, 3)``).
            metas: What the pipeline noted about each sample of a batch.
            batch_size: How many people go through the network at once.
            boxes: Where the people are, for images: an array ``(P, 4)`` or ``(P, 5)`` for each, x, y of the left upper
                corner, width, height and a score; or a detector, which gives that for an array ``(H, W, 3)``, BGR. None
                takes each image as a whole as one person.

        Returns:
            One result for each crop, or for each image.

        Raises:
            RuntimeError: Images are given to a model without ``test_pipeline``.
            TypeError: ``inputs`` is neither a tensor nor a list of images.
            DataError: ``boxes`` are not one array an image, or a box has no size.
        """
        if isinstance(inputs, Tensor) or not is_list_of_images(inputs):
            return super().predict(inputs, metas, batch_size)
        crops, counts = boxes_of(inputs, boxes)
        people: list[PoseResult] = super().predict(crops, None, batch_size) if crops else []
        ends = np.cumsum([0, *counts]).tolist()
        return [PoseResult.joined(people[start:end], self.dataset_info) for start, end in itertools.pairwise(ends)]


@POSENETS.register_module()
class TopDown(TopDownModel):
    """Finds the joints of a person in a crop of an image.

    Args:
        backbone: Config of the backbone, or a module: crops to a tuple of stages.
        neck: Config of the neck: stages to stages.
        keypoint_head: Config of the head: stages to outputs that the codec decodes.
        train_cfg: Kept for older configs; nothing in it means anything here.
        test_cfg: ``flip_test`` (on by default), ``shift_heatmap``, ``regression_flip_shift``; what older configs say
            here about decoding (``post_process``, ``modulate_kernel``, ``use_udp``, ...) becomes the codec's.
        pretrained: Weights of the backbone.
        loss_pose: Loss of a head that names none, as older configs have it.
        codec: Node of CODECS: how joints become targets and outputs joints.
        dataset_info: The joints: a name (``'coco'``) or a dict; see
            :class:`~intarsia.tasks.pose.dataset_info.DatasetInfo`.
        init_cfg: How weights are initialized.
    """

    head_attribute = 'keypoint_head'
    flips_by_default = True

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        neck: Mapping[str, Any] | nn.Module | None = None,
        keypoint_head: Mapping[str, Any] | nn.Module | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        pretrained: str | None = None,
        loss_pose: Mapping[str, Any] | None = None,
        codec: Mapping[str, Any] | None = None,
        dataset_info: Mapping[str, Any] | str | None = None,
        init_cfg: Any = None,
    ) -> None:
        head = with_loss(keypoint_head, loss_pose)
        super().__init__(backbone, neck, head, test_cfg, codec, dataset_info, init_cfg, pretrained, loss_pose)

    @property
    def head(self) -> Any:
        """The head."""
        return self.keypoint_head


@POSENETS.register_module()
class TopdownPoseEstimator(TopDownModel):
    """Finds the joints of a person in a crop of an image, with the names of the newer toolbox.

    Args:
        backbone: Config of the backbone, or a module: crops to a tuple of stages.
        neck: Config of the neck: stages to stages.
        head: Config of the head: stages to outputs that the codec decodes.
        train_cfg: Kept for older configs; nothing in it means anything here.
        test_cfg: ``flip_test`` (off by default), ``shift_heatmap``, ``shift_coords``.
        codec: Node of CODECS: how joints become targets and outputs joints.
        dataset_info: The joints: a name (``'coco'``) or a dict; see
            :class:`~intarsia.tasks.pose.dataset_info.DatasetInfo`.
        init_cfg: How weights are initialized.
    """

    head_attribute = 'head'

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        neck: Mapping[str, Any] | nn.Module | None = None,
        head: Mapping[str, Any] | nn.Module | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        codec: Mapping[str, Any] | None = None,
        dataset_info: Mapping[str, Any] | str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(backbone, neck, head, test_cfg, codec, dataset_info, init_cfg)


def build_head(head: Any, codec: Codec | None) -> Any:
    """The head from its config, which is told the codec if it takes one."""
    if not isinstance(head, Mapping):
        return head
    return build_part(head, 'pose', defaults={'codec': codec} if _takes(head, 'codec') else None)


def _takes(node: Mapping[str, Any], argument: str) -> bool:
    kind = node.get('type')
    return isinstance(kind, str) and argument in signature_of(MODELS.of('pose').get(kind)).arguments


def with_loss(head: Any, loss_pose: Mapping[str, Any] | None) -> Any:
    """The head's config with a loss, if it takes one, names none, and there is one beside it."""
    takes_loss = isinstance(head, Mapping) and _takes(head, 'loss_keypoint')
    return {'loss_keypoint': loss_pose, **head} if loss_pose is not None and takes_loss else head


def flip_index_of(info: DatasetInfo | None, meta: Meta, num_joints: int = 0) -> Sequence[int]:
    """For every joint, which one it is in a mirrored image.

    Args:
        info: The joints, if the model knows them.
        meta: What the pipeline noted, where it does not: ``flip_index``, or ``flip_pairs`` of ``num_joints`` joints.
        num_joints: K.

    Raises:
        ValueError: Neither says it.
    """
    if info is not None:
        return info.flip_index
    if meta.get('flip_index') is not None:
        return meta['flip_index']
    if meta.get('flip_pairs') is not None:
        return partners(meta['flip_pairs'], num_joints).tolist()
    raise ValueError(
        'flip_test needs to know which joints change places: give the model dataset_info '
        "(dataset_info='coco'), or set test_cfg=dict(flip_test=False)"
    )
