"""Coordinates as parts of the input's width and height.

Shapes: n people, k joints.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs.codec import Codec, Keypoints


@CODECS.register_module()
class RegressionLabel(Codec):
    """x and y themselves, 0 ... 1 across the input (DeepPose, Toshev and Szegedy, 2014, arXiv:1312.4659).

    Args:
        input_size: Width and height of the input.
    """

    def encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, np.ndarray]:
        """``target`` (K, 2) and ``target_weight`` (K, 2), which is 0 for joints outside the input."""
        size = np.array(self.input_size)
        inside = ((keypoints_k2 >= 0) & (keypoints_k2 <= size - 1)).all(axis=1)
        weight = np.asarray(visible_k, np.float32) * inside
        return {'target': (keypoints_k2 / size).astype(np.float32), 'target_weight': weight[:, None].repeat(2, axis=1)}

    def decode(self, outputs: Tensor) -> Keypoints:
        """From ``(N, K, 2)``, with a score of 1; or from ``(N, K, 4)`` with a deviation in x and y each, 0 ... 1.

        Raises:
            ValueError: The outputs have neither 2 nor 4 channels.
        """
        values_nkd = outputs.detach().float()
        if values_nkd.shape[-1] not in (2, 4):
            raise ValueError(f'a regression gives 2 or 4 values for each joint, not {values_nkd.shape[-1]}')
        xy, deviation = values_nkd.split([2, values_nkd.shape[-1] - 2], -1)
        size = torch.tensor(self.input_size, device=xy.device)
        return xy * size, 1 - deviation.mean(-1) if deviation.shape[-1] else torch.ones_like(xy[..., 0])
