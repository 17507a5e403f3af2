"""First weights close to zero, as HRNet and its relatives have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.init import initialize

SMALL_NORMAL: Sequence[Mapping[str, Any]] = (
    {'type': 'Normal', 'std': 0.001, 'layer': ['Conv2d']},
    {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
)
"""Kernels from a narrow normal distribution; the normalization behind each takes care of the scale."""


class SmallNormalBackbone(Backbone):
    """A backbone all of whose kernels start close to zero, those of layers that would initialize themselves included.

    ("Deep High-Resolution Representation Learning for Human Pose Estimation", Sun et al., 2019, arXiv:1902.09212.)
    """

    def init_own_weights(self) -> None:
        """Narrow normal kernels; only without ``init_cfg``."""
        if self.init_cfg is None:
            initialize(self, SMALL_NORMAL)
