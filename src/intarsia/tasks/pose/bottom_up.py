"""Bottom-up pose estimation: the joints of all people in an image, grouped by what the network says of them.

Shapes: n images, p people, k joints, c channels, l tags, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intarsia.core.registries import POSENETS
from intarsia.data.io.image import read_image
from intarsia.models.parts import build_backbone
from intarsia.models.task_model import Image, TaskModel
from intarsia.nn.resize import resize
from intarsia.tasks.pose.codecs.associative_embedding import AssociativeEmbedding as Grouping
from intarsia.tasks.pose.codecs.associative_embedding import People
from intarsia.tasks.pose.codecs.codec import build_codec
from intarsia.tasks.pose.codecs.flip import flip_heatmaps
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.results import PoseResult
from intarsia.tasks.pose.topdown import Meta, build_head, flip_index_of, with_loss
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD


@POSENETS.register_module()
class AssociativeEmbedding(TaskModel):
    """Finds heat maps of all joints, and tags that are alike for joints of one person.

    "Associative Embedding: End-to-End Learning for Joint Detection and Grouping" (Newell et al., 2016,
    arXiv:1611.05424).

    Args:
        backbone: Config of the backbone, or a module: images to a tuple of stages.
        keypoint_head: Config of the head: stages to maps of one scale or several, K heat maps and then tags each.
        train_cfg: Kept for older configs; nothing in it means anything here.
        test_cfg: ``flip_test`` (on by default: maps are averaged with those of the mirrored image, whose tags are used
            too), ``project2image`` (maps grow to the size of the image at scale 1, else to that of the last scale),
            ``align_corners`` (how they grow), ``with_heatmaps`` and ``with_ae`` (for each scale whether its heat maps,
            and tags, are used), ``tag_per_joint``. What older configs say here about grouping becomes the codec's.
        pretrained: Weights of the backbone.
        loss_pose: Loss of a head that names none, as older configs have it.
        codec: Node of CODECS, of type AssociativeEmbedding.
        dataset_info: The joints: a name (``'coco'``) or a dict; see
            :class:`~intarsia.tasks.pose.dataset_info.DatasetInfo`.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The codec is of another type.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        keypoint_head: Mapping[str, Any] | nn.Module,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        pretrained: str | None = None,
        loss_pose: Mapping[str, Any] | None = None,
        codec: Mapping[str, Any] | None = None,
        dataset_info: Mapping[str, Any] | str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.test_cfg = dict(test_cfg or {})
        built = build_codec(codec)
        if built is not None and not isinstance(built, Grouping):
            raise ValueError(f'AssociativeEmbedding groups by the codec of this name, not by {type(built).__name__}')
        self.codec: Grouping | None = built
        self.dataset_info = None if dataset_info is None else DatasetInfo.of(dataset_info)
        self.backbone = build_backbone(backbone, 'pose', pretrained)
        self.keypoint_head = build_head(with_loss(keypoint_head, loss_pose), self.codec)

    def forward(self, img_nchw: Tensor) -> list[Tensor]:
        """Maps ``(N, K + LK, h, w)`` of all scales for normalized images ``(N, C, H, W)``."""
        return self.keypoint_head(self.backbone(img_nchw))

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Normalized images ``(N, C, H, W)``.
            targets: ``targets``, ``masks`` and ``joints``: lists with one tensor for each scale, or the tensor of the
                only scale.
        """
        scales = {key: [value] if isinstance(value, Tensor) else value for key, value in targets.items()}
        return self.keypoint_head.losses(self.backbone(inputs), scales)

    # ------------------------------------------------------------------ prediction

    def describe(self, image: Image) -> dict[str, Any]:
        """The image as an array, BGR."""
        return image_in_memory(super().describe(image))

    def results_of(self, inputs: Tensor, metas: Sequence[Meta] | None = None) -> list[PoseResult]:
        """One result for every image of a batch ``(N, C, H, W)``; see :meth:`results_of_augmented`.

        Where ``metas`` hold ``aug_data``, tensors ``(1, C, H, W)`` of several sizes, these are what the network sees.
        """
        if not metas or 'aug_data' not in metas[0]:
            return self.results_of_augmented([inputs], metas or [{}] * len(inputs))
        results: list[PoseResult] = []
        for meta in metas:
            views = [view.to(inputs.device) for view in meta['aug_data']]
            results += self.results_of_augmented(views, [meta])
        return results

    def results_of_augmented(self, inputs: Sequence[Tensor], metas: Sequence[Any]) -> list[PoseResult]:
        """One result for every image, from several sizes of it.

        Args:
            inputs: Normalized images ``(N, C, H, W)``, the largest first.
            metas: Of each image: ``base_size``, its width and height at scale 1, ``test_scale_factor``, and ``center``
                and ``scale`` of what it shows. Without the last two joints are in pixels of the image.

        Raises:
            RuntimeError: The model has no codec.
            ValueError: It is not known which joints change places in a mirrored image.
        """
        if self.codec is None:
            raise RuntimeError(
                "AssociativeEmbedding needs codec=dict(type='AssociativeEmbedding', ...) to group joints"
            )
        first = dict(metas[0])
        factors = sorted(first.get('test_scale_factor', [1] * len(inputs)), reverse=True)
        base = first.get('base_size') or (inputs[0].shape[3], inputs[0].shape[2])
        size = (int(base[1]), int(base[0])) if self.test_cfg.get('project2image', True) else None
        heats, tags = [], []
        for image, factor in zip(inputs, factors, strict=True):
            heat, tag = self._maps_of(image, size, first)
            heats.append(heat)
            if factor == 1 or len(factors) == 1:
                tags.append(tag)
        heat_nkhw = self._mean(heats, heats[0].shape[2:])
        tag_nchw = torch.cat([self._resized(tag, heat_nkhw.shape[2:]) for tag in tags], 1)
        people = self.codec.decode((heat_nkhw, tag_nchw))
        return [self._result(found, dict(meta), inputs[0]) for found, meta in zip(people, metas, strict=True)]

    def _maps_of(self, img_nchw: Tensor, size: tuple[int, int] | None, meta: Meta) -> tuple[Tensor, Tensor]:
        """Heat maps ``(N, K, h, w)``, the mean of all scales of the network, and tags ``(N, LK, h, w)``."""
        heats, tags = self._split(self(img_nchw))
        target = size or heats[-1].shape[2:]
        heat, tag = self._mean(heats, target), self._joined(tags, size or tags[-1].shape[2:])
        if not self.test_cfg.get('flip_test', True):
            return heat, tag
        index = flip_index_of(self.dataset_info, meta)
        heats, tags = self._split(self(img_nchw.flip(-1)))
        tag_index = index if self.test_cfg.get('tag_per_joint', True) else None
        heats = [flip_heatmaps(each, index) for each in heats]
        tags = [flip_heatmaps(each, tag_index) for each in tags]
        other = self._joined(tags, size or tags[-1].shape[2:])
        return (heat + self._mean(heats, target)) / 2, torch.cat([tag, other], 1)

    def _split(self, outputs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Heat maps and tags of the scales that are used."""
        count = self.keypoint_head.num_joints
        has_heat = self.test_cfg.get('with_heatmaps', [True] * len(outputs))
        has_tags = self.test_cfg.get('with_ae', [each.shape[1] > count for each in outputs])
        heats = [each[:, :count] for each, used in zip(outputs, has_heat, strict=True) if used]
        tags = [
            each[:, count if heat else 0 :]
            for each, heat, used in zip(outputs, has_heat, has_tags, strict=True)
            if used
        ]  # fmt: skip
        return heats, tags

    def _mean(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        resized = [self._resized(each, size) for each in maps]
        return torch.stack(resized).mean(0) if len(resized) > 1 else resized[0]

    def _joined(self, tags: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        return torch.cat([self._resized(tag, size) for tag in tags], 1)

    def _resized(self, x_nchw: Tensor, size: Sequence[int]) -> Tensor:
        if tuple(x_nchw.shape[2:]) == tuple(size):
            return x_nchw
        align = bool(self.test_cfg.get('align_corners', True))
        return resize(x_nchw, size, mode='bilinear', align_corners=align, warning=False)

    def _result(self, people: People, meta: Meta, image_nchw: Tensor) -> PoseResult:
        assert self.codec is not None
        edge, unit = (1, 1.0) if self.codec.use_udp else (0, PIXEL_STD)
        part_pk2 = people.keypoints.cpu().numpy() / (np.array(self.codec.input_size) - edge)
        if 'center' in meta:
            size, center = np.asarray(meta['scale']) * unit, np.asarray(meta['center'])
        else:
            size = np.array([image_nchw.shape[3], image_nchw.shape[2]]) - edge
            center = size / 2
        xy_pk2 = ((part_pk2 - 0.5) * size + center).astype(np.float32)
        score_pk = people.scores.cpu().numpy()
        return PoseResult(
            keypoints=xy_pk2,
            scores=score_pk,
            boxes=boxes_around(xy_pk2, score_pk > 0),
            box_scores=people.person_scores.cpu().numpy().astype(np.float32),
            info=self.dataset_info,
            tags=people.tags.cpu().numpy(),
        )


def image_in_memory(found: dict[str, Any]) -> dict[str, Any]:
    """What describes an image, with the image itself, BGR, for one that is a file."""
    if 'img' in found or 'img_info' not in found:
        return found
    file = found['img_info']['filename']
    return {'img': read_image(file), 'image_file': file}


def result_of_input(
    xy_pk2: Tensor,
    score_pk: Tensor,
    person_p: Tensor,
    size: Sequence[int],
    meta: Meta,
    info: DatasetInfo | None,
    use_udp: bool = False,
) -> PoseResult:
    """The people in an image, from their joints in pixels of what the network saw of it.

    Args:
        xy_pk2: Joints.
        score_pk: Their scores.
        person_p: Scores of people.
        size: Width and height of what the network saw.
        meta: ``center`` and ``scale`` of that in pixels of the image; without them both are the same.
        info: The joints.
        use_udp: Sizes are measured from the middle of the first pixel to that of the last.
    """
    edge, unit = (1, 1.0) if use_udp else (0, PIXEL_STD)
    seen = np.array(size, np.float64) - edge
    shown, center = seen, seen / 2
    if 'center' in meta:
        shown, center = np.asarray(meta['scale']) * unit, np.asarray(meta['center'])
    places = ((xy_pk2.cpu().numpy() / seen - 0.5) * shown + center).astype(np.float32)
    return PoseResult(
        keypoints=places,
        scores=score_pk.cpu().numpy(),
        boxes=boxes_around(places, np.ones(places.shape[:2], bool)),
        box_scores=person_p.cpu().numpy().astype(np.float32),
        info=info,
    )


def boxes_around(xy_pk2: np.ndarray, found_pk: np.ndarray) -> np.ndarray:
    """The smallest boxes around the joints that were found: x, y, width, height, float32 ``(P, 4)``."""
    boxes = np.zeros((len(xy_pk2), 4), np.float32)
    for box, xy_k2, found_k in zip(boxes, xy_pk2, found_pk, strict=True):
        if found_k.any():
            low, high = xy_k2[found_k].min(0), xy_k2[found_k].max(0)
            box[:2], box[2:] = low, high - low
    return boxes
