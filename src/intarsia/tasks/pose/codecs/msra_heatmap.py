"""Heat maps with a Gaussian at the pixel nearest to each joint.

Shapes: n people, k joints, maps of height h and width w.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs.codec import HeatmapCodec, Keypoints, one_of
from intarsia.tasks.pose.codecs.drawing import draw_gaussians
from intarsia.tasks.pose.codecs.peaks import get_heatmap_maximum
from intarsia.tasks.pose.codecs.refine import refine_keypoints, refine_keypoints_dark


@CODECS.register_module()
class MSRAHeatmap(HeatmapCodec):
    """A Gaussian at each joint; back from the greatest pixel, refined.

    Simple Baselines for Human Pose Estimation and Tracking, Xiao et al., 2018, arXiv:1804.06208. With ``unbiased``:
    Distribution-Aware Coordinate Representation for Human Pose Estimation, Zhang et al., 2019, arXiv:1910.06278.

    Args:
        input_size: Width and height of the input.
        heatmap_size: Width and height of the maps.
        sigma: Standard deviation of the Gaussian in pixels of the map.
        unbiased: The Gaussian stands at the joint, not at the nearest pixel, and is not cut off; and its peak is found
            from second derivatives, not by a shift of a quarter pixel.
        blur_kernel_size: Of the blur that ``unbiased`` decoding begins with: 11 for a sigma of 2, 17 for 3.
        rules: Which peaks near the border are shifted; see :func:`refine_keypoints`.
    """

    def __init__(
        self,
        input_size: Sequence[int],
        heatmap_size: Sequence[int],
        sigma: float,
        unbiased: bool = False,
        blur_kernel_size: int = 11,
        rules: Literal['0.x', '1.x'] = '0.x',
    ) -> None:
        super().__init__(input_size, heatmap_size)
        self.sigma = sigma
        self.unbiased = unbiased
        self.blur_kernel_size = blur_kernel_size
        self.rules = one_of('rules', rules, ('0.x', '1.x'))

    def encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, np.ndarray]:
        """``target`` (K, H, W), 1 at the peak, and ``target_weight`` (K, 1): 0 for a joint far outside the map."""
        points = keypoints_k2 / self.stride
        target, weight = draw_gaussians(
            points, visible_k, self.heatmap_size, self.sigma, exact=self.unbiased, cut=not self.unbiased
        )
        return {'target': target, 'target_weight': weight[:, None]}

    def decode(self, outputs: Tensor) -> Keypoints:
        """From maps ``(N, K, H, W)``; scores are their greatest values."""
        heatmap_nkhw = outputs.detach().float()
        xy, score = get_heatmap_maximum(heatmap_nkhw)
        if self.unbiased:
            xy = refine_keypoints_dark(xy, heatmap_nkhw, self.blur_kernel_size)
        else:
            xy = refine_keypoints(xy, heatmap_nkhw, self.rules)
        return self.to_input(xy), score
