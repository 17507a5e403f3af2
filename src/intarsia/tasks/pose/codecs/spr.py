"""People as single points: their middles, and the ways from there to their joints.

Shapes: p people, k joints, maps of height h and width w.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs.associative_embedding import People
from intarsia.tasks.pose.codecs.codec import HeatmapCodec, one_of
from intarsia.tasks.pose.codecs.drawing import draw_gaussians
from intarsia.tasks.pose.codecs.peaks import batch_heatmap_nms


@CODECS.register_module()
class SPR(HeatmapCodec):
    """A Gaussian at the middle of each person, and around it the way to each joint.

    Single-Stage Multi-Person Pose Machines, Nie et al., 2019, arXiv:1908.09220.

    Args:
        input_size: Width and height of the input.
        heatmap_size: Width and height of the maps.
        sigma: Standard deviation of the Gaussian of middles in pixels of the map, also how far ways are drawn; and that
            of joints, if they have maps. None for 1/32 of the map's size, and half of it.
        generate_keypoint_heatmaps: Whether joints have maps, before that of middles.
        root_type: A person's middle: the mean of the visible joints, or the middle of the box round them.
        minimal_diagonal_length: Smaller people, in pixels of the map, have no middle.
        background_weight: Weight of pixels that no Gaussian reaches.
        decode_nms_kernel: A middle is the greatest pixel of a square of so many, odd.
        decode_max_instances: Greatest number of people.
        decode_thr: Middles no higher than this are nothing.

    Raises:
        ValueError: Joints have maps, but ``sigma`` is one number.
    """

    def __init__(
        self,
        input_size: Sequence[int],
        heatmap_size: Sequence[int],
        sigma: float | Sequence[float] | None = None,
        generate_keypoint_heatmaps: bool = False,
        root_type: Literal['kpt_center', 'bbox_center'] = 'kpt_center',
        minimal_diagonal_length: float = 5,
        background_weight: float = 0.1,
        decode_nms_kernel: int = 5,
        decode_max_instances: int = 30,
        decode_thr: float = 0.01,
    ) -> None:
        super().__init__(input_size, heatmap_size)
        if sigma is None:
            usual = (self.heatmap_size[0] * self.heatmap_size[1]) ** 0.5 / 32
            sigma = (usual, usual // 2)
        self.sigma = tuple(sigma) if isinstance(sigma, Sequence) else (sigma,)
        if generate_keypoint_heatmaps and len(self.sigma) != 2:
            raise ValueError(f'SPR with maps of joints wants two numbers sigma, of middles and of joints, not {sigma}')
        self.generate_keypoint_heatmaps = generate_keypoint_heatmaps
        self.root_type = one_of('root_type', root_type, ('kpt_center', 'bbox_center'))
        self.minimal_diagonal_length = minimal_diagonal_length
        self.background_weight = background_weight
        self.decode_nms_kernel = decode_nms_kernel
        self.decode_max_instances = decode_max_instances
        self.decode_thr = decode_thr

    # ---------------------------------------------------------------------- encoding

    def encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, np.ndarray]:
        """Targets of all people of an image.

        Args:
            keypoints_k2: Joints ``(P, K, 2)``.
            visible_k: How much each counts ``(P, K)``.

        Returns:
            ``heatmaps`` and ``heatmap_weights`` (K + 1, H, W), or (1, H, W) without maps of joints;
            ``displacements`` and ``displacement_weights`` (2K, H, W), x and y of a joint after the other; float32.
        """
        visible = np.asarray(visible_k, np.float32)
        points = keypoints_k2 / self.stride.astype(np.float32)
        root_p2, diagonal_p = self._middles(points, visible)
        is_there_p = (visible > 0).any(1) & (diagonal_p >= self.minimal_diagonal_length)
        maps = [self._drawn(root_p2[:, None], is_there_p[:, None].astype(np.float32), self.sigma[0])]
        if self.generate_keypoint_heatmaps:
            maps.insert(0, self._drawn(points, visible, self.sigma[1]))
        heatmaps = np.concatenate(maps)
        ways, weights = self._ways(points, visible, root_p2, is_there_p, diagonal_p)
        return {
            'heatmaps': heatmaps,
            'heatmap_weights': np.where(heatmaps > 0, 1, self.background_weight).astype(np.float32),
            'displacements': ways,
            'displacement_weights': weights,
        }

    def _middles(self, points_pk2: np.ndarray, visible_pk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Middles ``(P, 2)``, and diagonals of the boxes round visible joints."""
        root_p2, diagonal_p = np.zeros((len(points_pk2), 2), np.float32), np.zeros(len(points_pk2), np.float32)
        for i, (points, visible) in enumerate(zip(points_pk2, visible_pk, strict=True)):
            seen = points[visible > 0]
            if len(seen):
                low, high = seen.min(0), seen.max(0)
                root_p2[i] = seen.mean(0) if self.root_type == 'kpt_center' else (low + high) / 2
                diagonal_p[i] = np.sqrt(((high - low) ** 2).sum())
        return root_p2, diagonal_p

    def _drawn(self, points_pk2: np.ndarray, visible_pk: np.ndarray, sigma: float) -> np.ndarray:
        """Maps ``(K, H, W)``, of all people the greatest value."""
        width, height = self.heatmap_size
        drawn = np.zeros((points_pk2.shape[1], height, width), np.float32)
        for points, visible in zip(points_pk2, visible_pk, strict=True):
            np.maximum(drawn, draw_gaussians(points, visible, self.heatmap_size, sigma)[0], out=drawn)
        return drawn

    def _ways(
        self,
        points_pk2: np.ndarray,
        visible_pk: np.ndarray,
        root_p2: np.ndarray,
        is_there_p: np.ndarray,
        diagonal_p: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ways ``(2K, H, W)`` and their weights, one over the diagonal; where people meet, the smaller one counts."""
        width, height = self.heatmap_size
        ways, weights = np.zeros((2, points_pk2.shape[1], 2, height, width), np.float32)
        size_hw = np.zeros((height, width), np.float32)
        reach = self.sigma[0]
        for i in np.flatnonzero(is_there_p & ((root_p2 >= 0) & (root_p2 < self.heatmap_size)).all(1)):
            columns, rows = (
                slice(max(int(middle - reach), 0), min(int(middle + reach), length))
                for middle, length in zip(root_p2[i], self.heatmap_size, strict=True)
            )
            y, x = np.mgrid[rows, columns]
            near = size_hw[rows, columns]
            inside = (visible_pk[i] >= 1) & ((points_pk2[i] >= 0) & (points_pk2[i] < self.heatmap_size)).all(1)
            for joint in np.flatnonzero(inside):
                patch = ways[joint, :, rows, columns]
                free = ~((patch != 0).any(0) & (diagonal_p[i] > near))
                point = points_pk2[i, joint]
                patch[:, free] = np.stack([point[0] - x, point[1] - y])[:, free]
                weights[joint, :, rows, columns][:, free] = 1 / diagonal_p[i]
                near[free] = diagonal_p[i]
        return ways.reshape(-1, height, width), weights.reshape(-1, height, width)

    # ---------------------------------------------------------------------- decoding

    def decode(self, outputs: Sequence[Tensor]) -> People:
        """The people of one image, in pixels of the input, from maps, the last of middles, and ways ``(2K, h, w)``.

        Without maps of joints their scores are those of middles, and 1.
        """
        maps_chw, ways_chw = (output.detach().float() for output in outputs)
        num_joints, (height, width) = len(ways_chw) // 2, ways_chw.shape[1:]
        y, x = torch.meshgrid(*(torch.arange(n, device=ways_chw.device) for n in (height, width)), indexing='ij')
        places = (ways_chw.unflatten(0, (num_joints, 2)) + torch.stack([x, y])).flatten(2)
        peaks = batch_heatmap_nms(maps_chw[None, -1:], self.decode_nms_kernel).flatten()
        root_p, index = peaks.topk(min(self.decode_max_instances, len(peaks)))
        index, root_p = index[root_p > self.decode_thr], root_p[root_p > self.decode_thr]
        xy_pk2 = places[:, :, index].permute(2, 0, 1)
        scores = root_p.new_ones(len(root_p), num_joints)
        if self.generate_keypoint_heatmaps and len(maps_chw) == num_joints + 1:
            scores = scores_at(maps_chw[:num_joints], xy_pk2)
        return People(self.to_input(xy_pk2), scores, scores.new_zeros(*scores.shape, 0), root_p)


def scores_at(maps_khw: Tensor, xy_pk2: Tensor) -> Tensor:
    """The value of each joint's map where the joint is, ``(P, K)``; outside that of the border.

    Corners of the map count as the middles of its corner pixels, but values are read as if they were their corners: so
    the published weights were evaluated.
    """
    height, width = maps_khw.shape[1:]
    size = torch.tensor([width - 1, height - 1], device=xy_pk2.device, dtype=xy_pk2.dtype)
    grid = (xy_pk2 / size * 2 - 1).transpose(0, 1)[:, None]
    return F.grid_sample(maps_khw[:, None], grid, padding_mode='border', align_corners=False)[:, 0, 0].T
