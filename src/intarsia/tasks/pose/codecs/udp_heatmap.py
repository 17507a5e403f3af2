"""Heat maps by unbiased data processing: sizes are measured from the middle of the first pixel to that of the last.

Shapes: n people, k joints, maps of height h and width w.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs.blur import blur_at, gaussian_blur
from intarsia.tasks.pose.codecs.codec import HeatmapCodec, Keypoints, one_of
from intarsia.tasks.pose.codecs.drawing import draw_discs, draw_gaussians
from intarsia.tasks.pose.codecs.peaks import get_heatmap_maximum
from intarsia.tasks.pose.codecs.refine import refine_keypoints_dark_udp, values_at


@CODECS.register_module()
class UDPHeatmap(HeatmapCodec):
    """A Gaussian at each joint, or a disc and, for each of its pixels, the way to the joint.

    The Devil is in the Details: Delving into Unbiased Data Processing for Human Pose Estimation, Huang et al., 2019,
    arXiv:1911.07524.

    Decoding is not quite the inverse: x comes back multiplied by width / (width - 1), so that dividing it by the width
    and multiplying by that of the person's box, as is done for every codec, is exact for images warped by UDP.

    Args:
        input_size: Width and height of the input.
        heatmap_size: Width and height of the maps.
        heatmap_type: ``'gaussian'``, or ``'combined'`` with three maps for each joint: disc, x and y.
        sigma: Standard deviation of the Gaussian in pixels of the map.
        radius_factor: Radius of the disc, as a part of the map's height; by the rules of 1.x of its longer side.
        blur_kernel_size: Of the blur that decoding begins with, odd; ``'combined'`` blurs discs by twice as much.
        rules: By those of 1.x the ways also reach beyond the disc, and are not blurred; for the Gaussian see
            :func:`refine_keypoints_dark_udp`.
    """

    def __init__(
        self,
        input_size: Sequence[int],
        heatmap_size: Sequence[int],
        heatmap_type: Literal['gaussian', 'combined'] = 'gaussian',
        sigma: float = 2.0,
        radius_factor: float = 0.0546875,
        blur_kernel_size: int = 11,
        rules: Literal['0.x', '1.x'] = '0.x',
    ) -> None:
        super().__init__(input_size, heatmap_size)
        self.heatmap_type = one_of('heatmap_type', heatmap_type, ('gaussian', 'combined'))
        self.flip_mode = 'udp_combined' if heatmap_type == 'combined' else 'heatmap'
        self.sigma = sigma
        self.radius_factor = radius_factor
        self.blur_kernel_size = blur_kernel_size
        self.rules = one_of('rules', rules, ('0.x', '1.x'))

    @property
    def stride(self) -> np.ndarray:
        """Pixels of the input from the middle of one pixel of a map to that of the next, in x and y."""
        return (np.array(self.input_size) - 1) / (np.array(self.heatmap_size) - 1)

    def encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, np.ndarray]:
        """``target`` (K, H, W), combined (3K, H, W), and ``target_weight`` (K, 1)."""
        points = keypoints_k2 / self.stride
        if self.heatmap_type == 'gaussian':
            target, weight = draw_gaussians(points, visible_k, self.heatmap_size, self.sigma, exact=True)
        else:
            radius = self._radius(*self.heatmap_size)
            target = draw_discs(points, visible_k, self.heatmap_size, radius, cut=self.rules == '0.x')
            weight = np.array(visible_k, np.float32)
        return {'target': target, 'target_weight': weight[:, None]}

    def decode(self, outputs: Tensor) -> Keypoints:
        """From maps ``(N, K, H, W)``, combined ``(N, 3K, H, W)``; scores are the greatest values."""
        maps = outputs.detach().float()
        if self.heatmap_type == 'gaussian':
            xy, score = get_heatmap_maximum(maps)
            xy = refine_keypoints_dark_udp(xy, maps, self.blur_kernel_size, self.rules)
        else:
            xy, score = self._follow(maps)
        return self.to_input(xy), score

    def to_input(self, xy_nk2: Tensor) -> Tensor:
        """From pixels of a map to pixels of the input."""
        stride = np.array(self.input_size) / (np.array(self.heatmap_size) - 1)
        return xy_nk2 * torch.as_tensor(stride, dtype=xy_nk2.dtype, device=xy_nk2.device)

    def _follow(self, maps_nchw: Tensor) -> Keypoints:
        """From the middle of each disc on the way that the maps point there."""
        maps_nk3hw = maps_nchw.unflatten(1, (-1, 3))
        disc = gaussian_blur(maps_nk3hw[:, :, 0], 2 * self.blur_kernel_size + 1, 'reflect', keep_maximum=False)
        xy, score = get_heatmap_maximum(disc)
        pixel = xy.clamp(min=0)
        if self.rules == '0.x':
            way = blur_at(maps_nk3hw, pixel, self.blur_kernel_size, 'reflect')[..., 1:]
        else:
            way = torch.cat([values_at(maps_nk3hw[:, :, axis], pixel) for axis in (1, 2)]).movedim(0, -1)
        way = way * self._radius(*disc.shape[:1:-1])
        return torch.where(score[..., None] > 0, xy + way, xy), score

    def _radius(self, width: int, height: int) -> float:
        return self.radius_factor * (height if self.rules == '0.x' else max(width, height))
