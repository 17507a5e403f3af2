"""Coordinates, and heat maps for the loss of networks that take them as means of a map.

Shapes: n people, k joints, maps of height h and width w.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs.codec import HeatmapCodec, Keypoints
from intarsia.tasks.pose.codecs.msra_heatmap import MSRAHeatmap
from intarsia.tasks.pose.codecs.regression_label import RegressionLabel


@CODECS.register_module()
class IntegralRegressionLabel(HeatmapCodec):
    """:class:`RegressionLabel` with the maps of :class:`MSRAHeatmap`.

    Numerical Coordinate Regression with Convolutional Neural Networks (DSNT), Nibali et al., 2018, arXiv:1801.07372.

    Args:
        input_size: Width and height of the input.
        heatmap_size: Width and height of the maps.
        sigma: Standard deviation of the Gaussian in pixels of the map.
        unbiased: The Gaussian stands at the joint, not at the nearest pixel, and is not cut off.
        blur_kernel_size: Of no effect: the maps are never decoded.
        normalize: The values of each map add up to 1.
    """

    def __init__(
        self,
        input_size: Sequence[int],
        heatmap_size: Sequence[int],
        sigma: float,
        unbiased: bool = False,
        blur_kernel_size: int = 11,
        normalize: bool = True,
    ) -> None:
        super().__init__(input_size, heatmap_size)
        self.maps = MSRAHeatmap(input_size, heatmap_size, sigma, unbiased, blur_kernel_size)
        self.coordinates = RegressionLabel(input_size)
        self.normalize = normalize

    def encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, np.ndarray]:
        """``target`` and ``target_weight`` (K, 2), and ``target_heatmap`` (K, H, W)."""
        heatmap_khw = self.maps.encode(keypoints_k2, visible_k)['target']
        if self.normalize:
            heatmap_khw = heatmap_khw / (heatmap_khw.sum((1, 2), keepdims=True) + 1e-24)
        return {**self.coordinates.encode(keypoints_k2, visible_k), 'target_heatmap': heatmap_khw}

    def decode(self, outputs: Tensor) -> Keypoints:
        """From coordinates, as :meth:`RegressionLabel.decode`."""
        return self.coordinates.decode(outputs)
