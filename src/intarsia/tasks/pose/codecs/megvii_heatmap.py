"""Heat maps of blurred single pixels.

Shapes: n people, k joints, maps of height h and width w.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs.blur import symmetric_blur
from intarsia.tasks.pose.codecs.codec import HeatmapCodec, Keypoints
from intarsia.tasks.pose.codecs.drawing import draw_blurred_points
from intarsia.tasks.pose.codecs.peaks import get_heatmap_maximum
from intarsia.tasks.pose.codecs.refine import refine_keypoints

HEIGHT = 255.0
"""Of a target."""


@CODECS.register_module()
class MegviiHeatmap(HeatmapCodec):
    """The pixel that holds a joint, blurred; back from the greatest pixel of the blurred map, refined.

    Rethinking on Multi-Stage Networks for Human Pose Estimation, Li et al., 2019, arXiv:1901.00148; Cascaded Pyramid
    Network for Multi-Person Pose Estimation, Chen et al., 2018, arXiv:1711.07319.

    Args:
        input_size: Width and height of the input.
        heatmap_size: Width and height of the maps.
        kernel_size: Of the blur, odd; one number, or one for x and one for y, which only encoding can use.
    """

    def __init__(
        self, input_size: Sequence[int], heatmap_size: Sequence[int], kernel_size: int | Sequence[int] = 11
    ) -> None:
        super().__init__(input_size, heatmap_size)
        self.kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)

    def encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, np.ndarray]:
        """``target`` (K, H, W), 255 at the peak, and ``target_weight`` (K, 1): 0 for a joint outside the map."""
        points = keypoints_k2 / self.stride
        target, weight = draw_blurred_points(points, visible_k, self.heatmap_size, self.kernel_size)
        return {'target': target, 'target_weight': weight[:, None]}

    def decode(self, outputs: Tensor) -> Keypoints:
        """From maps ``(N, K, H, W)``; scores are 0.5 and more: the greatest value / 255 + 0.5.

        Peaks away from the border are moved by half a pixel, from the corner of the pixel to its middle.
        """
        # The quarter pixel hangs on which neighbour is greater, in a perfect map by its last digit.
        heatmap_nkhw = symmetric_blur(outputs.detach().float(), self.kernel_size[0])
        peak, score = get_heatmap_maximum(heatmap_nkhw)
        limit = torch.tensor(heatmap_nkhw.shape[:1:-1], device=peak.device) - 1
        inner = ((peak > 1) & (peak < limit)).all(-1, keepdim=True)
        xy = refine_keypoints(peak, heatmap_nkhw) + 0.5 * inner
        return self.to_input(xy), score / HEIGHT + 0.5
