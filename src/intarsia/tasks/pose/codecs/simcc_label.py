"""Coordinates as classes: one vector for x and one for y.

Shapes: n people, k joints, vectors of length lx and ly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs.codec import Codec, Keypoints, one_of
from intarsia.tasks.pose.codecs.drawing import MARKED
from intarsia.tasks.pose.codecs.peaks import get_simcc_maximum
from intarsia.tasks.pose.codecs.refine import refine_simcc_dark


@CODECS.register_module()
class SimCCLabel(Codec):
    """Bins narrower than a pixel: a classification for x, another for y.

    SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation, Li et al., 2021,
    arXiv:2107.03332.

    Args:
        input_size: Width and height of the input.
        smoothing_type: ``'gaussian'``, or ``'standard'`` for one bin with what ``label_smooth_weight`` leaves it.
        sigma: Standard deviation of the Gaussian in bins; one number, or one for x and one for y.
        simcc_split_ratio: Bins in a pixel.
        label_smooth_weight: What the other bins share in a ``'standard'`` target, 0 ... 1.
        normalize: The values of a whole Gaussian add up to 1.
        use_dark: Find the peak between the bins from the second derivative.
        decode_visibility: Whether heads shall also give :meth:`visibility`.
        decode_beta: Inverse temperature of the visibility.
    """

    def __init__(
        self,
        input_size: Sequence[int],
        smoothing_type: Literal['gaussian', 'standard'] = 'gaussian',
        sigma: float | Sequence[float] = 6.0,
        simcc_split_ratio: float = 2.0,
        label_smooth_weight: float = 0.0,
        normalize: bool = True,
        use_dark: bool = False,
        decode_visibility: bool = False,
        decode_beta: float = 150.0,
    ) -> None:
        super().__init__(input_size)
        self.smoothing_type = one_of('smoothing_type', smoothing_type, ('gaussian', 'standard'))
        if not 0 <= label_smooth_weight <= (smoothing_type == 'standard'):
            allowed = '0 ... 1' if smoothing_type == 'standard' else "0 unless smoothing_type is 'standard'"
            raise ValueError(f'label_smooth_weight is {label_smooth_weight}, but must be {allowed}')
        self.sigma = np.broadcast_to(np.asarray(sigma, np.float64), 2)
        self.simcc_split_ratio = simcc_split_ratio
        self.label_smooth_weight = label_smooth_weight
        self.normalize = normalize
        self.use_dark = use_dark
        self.decode_visibility = decode_visibility
        self.decode_beta = decode_beta

    @property
    def num_bins(self) -> tuple[int, int]:
        """Lx and Ly."""
        width, height = (round(length * self.simcc_split_ratio) for length in self.input_size)
        return width, height

    def encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, np.ndarray]:
        """``target_x`` (K, Lx), ``target_y`` (K, Ly) and ``target_weight`` (K,): 0 for joints outside."""
        bin_k2 = np.around(keypoints_k2 * self.simcc_split_ratio)
        gaussian = self.smoothing_type == 'gaussian'
        reach = 3 * self.sigma if gaussian else 0
        inside = (bin_k2 - reach < self.num_bins) & (bin_k2 + reach + (1 if gaussian else 0) >= 0)
        weight = np.asarray(visible_k, np.float32) * inside.all(axis=1)
        drawn = (weight > MARKED)[:, None]
        target_x, target_y = ((self._row(bin_k2[:, axis], axis) * drawn).astype(np.float32) for axis in (0, 1))
        return {'target_x': target_x, 'target_y': target_y, 'target_weight': weight}

    def _row(self, bin_k: np.ndarray, axis: int) -> np.ndarray:
        away = np.arange(self.num_bins[axis]) - bin_k[:, None]
        if self.smoothing_type == 'standard':
            share = self.label_smooth_weight
            return np.where(away == 0, 1 - share, share / (self.num_bins[axis] - 1))
        sigma = self.sigma[axis]
        height = 1 / (sigma * np.sqrt(2 * np.pi)) if self.normalize else 1
        return height * np.exp(-(away**2) / (2 * sigma**2))

    def decode(self, outputs: Sequence[Tensor]) -> Keypoints:
        """From vectors for x ``(N, K, Lx)`` and for y ``(N, K, Ly)``; a score is the smaller one of both peaks."""
        x_nkl, y_nkl = (vector.detach().float() for vector in outputs)
        xy, score = get_simcc_maximum(x_nkl, y_nkl)
        if self.use_dark:
            x = refine_simcc_dark(xy[..., 0], x_nkl, self._blur_kernel_size(0))
            y = refine_simcc_dark(xy[..., 1], y_nkl, self._blur_kernel_size(1))
            xy = torch.stack([x, y], -1)
        return xy / self.simcc_split_ratio, score

    def visibility(self, outputs: Sequence[Tensor]) -> Tensor:
        """How sure the network is that each joint can be seen, 0 ... 1, ``(N, K)``."""
        x_nkl, y_nkl = (
            vector.detach().float() * (self.decode_beta * float(sigma))
            for vector, sigma in zip(outputs, self.sigma, strict=True)
        )
        return get_simcc_maximum(x_nkl, y_nkl, apply_softmax=True)[1]

    def _blur_kernel_size(self, axis: int) -> int:
        """The greatest odd size whose blur is as wide as the targets, or less; see :func:`blur_matrix`."""
        size = int((self.sigma[axis] * 20 - 7) // 3)
        return size - (size % 2 == 0)
