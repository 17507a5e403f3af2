"""Joints of all people in an image at once: heat maps, and tags that say which joints belong together.

Shapes: n images, p people, k joints, maps of height h and width w, tags of l numbers (2 if those of a mirrored image
are there too).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs.codec import HeatmapCodec, one_of
from intarsia.tasks.pose.codecs.drawing import MARKED, draw_gaussians, draw_people
from intarsia.tasks.pose.codecs.grouping import group_peaks
from intarsia.tasks.pose.codecs.peaks import batch_heatmap_nms
from intarsia.tasks.pose.codecs.refine import (
    nudge_keypoints,
    refine_keypoints,
    refine_keypoints_dark_udp,
    values_at,
)


class People(NamedTuple):
    """The people found in one image, on the device of the outputs.

    Attributes:
        keypoints: Joints ``(P, K, 2)``.
        scores: Of each joint ``(P, K)``; 0 for one that was not found.
        tags: Of each joint ``(P, K, L)``; 0 for one that was filled in.
        person_scores: Mean score of each person's joints before missing ones were filled in, ``(P,)``.
    """

    keypoints: Tensor
    scores: Tensor
    tags: Tensor
    person_scores: Tensor


@CODECS.register_module()
class AssociativeEmbedding(HeatmapCodec):
    """A Gaussian at each joint of each person; back from the peaks, grouped by tags.

    Associative Embedding: End-to-End Learning for Joint Detection and Grouping, Newell et al., 2017, arXiv:1611.05424.

    Args:
        input_size: Width and height of the input.
        heatmap_size: Width and height of the maps.
        sigma: Standard deviation of the Gaussian in pixels of the map; None for 1/64 of its size.
        use_udp: Sizes are measured from the middle of the first pixel to that of the last, Gaussians stand at the
            joint, and peaks are refined by second derivatives.
        decode_keypoint_order: In which order joints are grouped; empty for that of the data set.
        decode_nms_kernel: A peak is the greatest pixel of a square of so many, odd.
        decode_gaussian_kernel: Of the blur before refining with ``use_udp``, odd.
        decode_keypoint_thr: Peaks no higher than this are nothing.
        decode_tag_thr: How near a tag must be to a person's mean.
        decode_topk: Peaks of a joint.
        decode_center_shift: What is added to x and y of a joint, in pixels of the map; None for what the rules say:
            0.5 by those of 0.x without UDP, else 0.
        decode_max_instances: Greatest number of people; None for any.
        decode_use_value: Whether the heights of peaks count besides their tags.
        rules: By those of 0.x a target stands at the pixel that holds the joint, by those of 1.x at the nearest; for
            decoding see :meth:`refine` and :meth:`fill`.
    """

    of_people = ('target_weight', 'keypoint_indices')
    """What of its targets has rows for each person."""

    def __init__(
        self,
        input_size: Sequence[int],
        heatmap_size: Sequence[int],
        sigma: float | None = None,
        use_udp: bool = False,
        decode_keypoint_order: Sequence[int] = (),
        decode_nms_kernel: int = 5,
        decode_gaussian_kernel: int = 3,
        decode_keypoint_thr: float = 0.1,
        decode_tag_thr: float = 1.0,
        decode_topk: int = 30,
        decode_center_shift: float | None = None,
        decode_max_instances: int | None = None,
        decode_use_value: bool = True,
        rules: Literal['0.x', '1.x'] = '0.x',
    ) -> None:
        super().__init__(input_size, heatmap_size)
        width, height = self.heatmap_size
        self.sigma = (width * height) ** 0.5 / 64 if sigma is None else sigma
        self.use_udp = use_udp
        self.decode_keypoint_order = tuple(decode_keypoint_order)
        self.decode_nms_kernel = decode_nms_kernel
        self.decode_gaussian_kernel = decode_gaussian_kernel
        self.decode_keypoint_thr = decode_keypoint_thr
        self.decode_tag_thr = decode_tag_thr
        self.decode_topk = decode_topk
        self.rules = one_of('rules', rules, ('0.x', '1.x'))
        usual_shift = 0.5 if rules == '0.x' and not use_udp else 0.0
        self.decode_center_shift = usual_shift if decode_center_shift is None else decode_center_shift
        self.decode_max_instances = decode_max_instances
        self.decode_use_value = decode_use_value

    def stride_of(self, heatmap_size: Sequence[int]) -> np.ndarray:
        """Pixels of the input that one of a map of that size covers, in x and y."""
        edge = 1 if self.use_udp else 0
        return (np.array(self.input_size) - edge) / (np.array(heatmap_size) - edge)

    def encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, np.ndarray]:
        """Targets of all people of an image.

        Args:
            keypoints_k2: Joints ``(P, K, 2)``.
            visible_k: How much each counts ``(P, K)``.

        Returns:
            ``target`` (K, H, W), of all people the greatest value, and ``target_weight`` (P, K), float32; and
            ``keypoint_indices`` int64 (P, K, 2): the number of a joint's pixel, line by line, and whether it counts.
        """
        points_pk2, visible_pk = keypoints_k2 / self.stride_of(self.heatmap_size), np.asarray(visible_k, np.float32)
        old, width = self.rules == '0.x', self.heatmap_size[0]
        pixel = np.trunc(points_pk2 + (0 if old else 0.5)).astype(np.int64)
        inside = ((pixel >= 0) & (pixel < self.heatmap_size)).all(-1)
        counts = inside & (visible_pk > (0 if old else MARKED))
        if old:
            joints_pk3 = np.concatenate([points_pk2, visible_pk[..., None]], -1)
            target, weight_pk = (
                draw_people(joints_pk3, self.heatmap_size, self.sigma, self.use_udp),
                visible_pk * inside,
            )
        else:
            target, weight_pk = self._drawn(points_pk2, visible_pk)
        return {
            'target': target,
            'target_weight': weight_pk,
            'keypoint_indices': np.stack([pixel[..., 1] * width + pixel[..., 0], counts], -1),
        }

    def _drawn(self, points_pk2: np.ndarray, visible_pk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Maps and weights by the rules of 1.x."""
        drawn = [
            draw_gaussians(points, visible, self.heatmap_size, self.sigma, exact=self.use_udp)
            for points, visible in zip(points_pk2, visible_pk, strict=True)
        ]
        width, height = self.heatmap_size
        empty = np.zeros((visible_pk.shape[1], height, width), np.float32)
        target = np.max([maps for maps, _ in drawn], axis=0, initial=0) if drawn else empty
        return target, np.array([weight for _, weight in drawn], np.float32).reshape(visible_pk.shape)

    def decode(self, outputs: Sequence[Tensor]) -> list[People]:
        """From maps ``(N, K, H, W)``, of any size, and tags ``(N, LK, H, W)``: a number for all joints, then the next.

        Returns:
            For each image its people, in pixels of the input.
        """
        heatmap_nkhw, tag_nchw = (output.detach().float() for output in outputs)
        stride = torch.tensor(self.stride_of(heatmap_nkhw.shape[:1:-1]), dtype=torch.float32)
        found = []
        for people, heatmap_khw, tag_chw in zip(
            self.group(heatmap_nkhw, tag_nchw), heatmap_nkhw, tag_nchw, strict=True
        ):
            people = self.fill(self.refine(people, heatmap_khw), heatmap_khw, tag_chw)
            found.append(people._replace(keypoints=people.keypoints * stride.to(heatmap_khw.device)))
        return found

    def group(self, heatmap_nkhw: Tensor, tag_nchw: Tensor) -> list[People]:
        """The people of each image, their joints at peaks, in pixels of the map."""
        num_joints, (height, width) = heatmap_nkhw.shape[1], heatmap_nkhw.shape[-2:]
        flat = batch_heatmap_nms(heatmap_nkhw, self.decode_nms_kernel).flatten(2)
        value, index = flat.topk(min(self.decode_topk, height * width), dim=-1)
        tag = tag_nchw.flatten(2).unflatten(1, (-1, num_joints))
        tag = tag.gather(3, index.unsqueeze(1).expand(-1, tag.shape[1], -1, -1)).movedim(1, -1)
        peaks = torch.cat([torch.stack([index % width, index // width, value], -1), tag], -1).cpu().numpy()
        order = self.decode_keypoint_order or range(num_joints)
        limits = (self.decode_max_instances, self.decode_max_instances if self.rules == '0.x' else None)
        thresholds = (self.decode_keypoint_thr, self.decode_tag_thr)
        return [
            _people(torch.from_numpy(group_peaks(each, order, *thresholds, *limits, self.decode_use_value)).to(value))
            for each in peaks
        ]

    def refine(self, people: People, heatmap_khw: Tensor) -> People:
        """Found joints between the pixels.

        By the rules of 0.x a joint always moves by a quarter of a pixel, see :func:`nudge_keypoints`; by those of 1.x
        as :func:`refine_keypoints` says. With UDP both as :func:`refine_keypoints_dark_udp` says.
        """
        xy, maps = people.keypoints.transpose(0, 1)[None], heatmap_khw[None]
        if self.use_udp:
            xy = refine_keypoints_dark_udp(xy, maps, self.decode_gaussian_kernel, self.rules)
        else:
            xy = nudge_keypoints(xy, maps) if self.rules == '0.x' else refine_keypoints(xy, maps, '1.x')
        moved = xy[0].transpose(0, 1) + self.decode_center_shift
        return people._replace(keypoints=torch.where(people.scores[..., None] > 0, moved, people.keypoints))

    def fill(self, people: People, heatmap_khw: Tensor, tag_chw: Tensor) -> People:
        """Missing joints, where the map is high and the tag near that of the person.

        By the rules of 0.x a tag that is one away counts as much as the whole height of a map, and a joint is only set
        where the map is above 0, and moved like found ones. By those of 1.x the tag comes first, and joints are pixels.
        """
        if not len(people.keypoints):
            return people
        tag_kmap = tag_chw.unflatten(0, (-1, len(heatmap_khw))).movedim(0, -1)
        filled = [
            self._filled(*person, heatmap_khw, tag_kmap) for person in zip(people.keypoints, people.scores, strict=True)
        ]
        xy, scores = (torch.stack(parts) for parts in zip(*filled, strict=True))
        return people._replace(keypoints=xy, scores=scores)

    def _filled(self, xy_k2: Tensor, score_k: Tensor, heatmap_khw: Tensor, tag_khwl: Tensor) -> tuple[Tensor, Tensor]:
        """One person; people come one by one because each needs maps of distances."""
        old, found = self.rules == '0.x', score_k > 0
        if found.all():
            return xy_k2, score_k
        own_kl = values_at(tag_khwl.movedim(-1, 0), xy_k2.expand(tag_khwl.shape[-1], -1, -1))[0].T
        distance_khw = (tag_khwl - own_kl[found].mean(0)).norm(dim=-1).round()
        gain_khw = heatmap_khw - distance_khw * (1 if old else 100)
        index = gain_khw.flatten(1).argmax(-1)
        width = heatmap_khw.shape[-1]
        pixel_k2 = torch.stack([index % width, index // width], -1).to(xy_k2)
        value_k = heatmap_khw.flatten(1).gather(1, index[:, None])[:, 0]
        place_k2 = pixel_k2
        if old:
            place_k2 = nudge_keypoints(pixel_k2[None], heatmap_khw[None])[0] + self.decode_center_shift
        missing = ~found & (value_k > 0) if old else ~found
        return torch.where(missing[:, None], place_k2, xy_k2), torch.where(missing, value_k, score_k)


def _people(peaks_pkd: Tensor) -> People:
    keypoints, scores, tags = peaks_pkd[..., :2], peaks_pkd[..., 2], peaks_pkd[..., 3:]
    return People(keypoints, scores, tags, scores.mean(1))
