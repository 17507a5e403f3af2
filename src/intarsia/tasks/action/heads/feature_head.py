"""A head that gives features in place of scores.

Shapes: n clips, t frames, m people, v joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from intarsia.core.registries import HEADS
from intarsia.nn.module import BaseModule

Pooling = Literal['avg', 'max'] | None

POOLINGS: dict[Pooling, Callable[[Tensor, Sequence[int]], Tensor]] = {
    'avg': lambda x, dims: x.mean(dim=list(dims)),
    'max': lambda x, dims: x.amax(dim=list(dims)),
    None: lambda x, dims: x,
}


@HEADS.register_module()
class FeatureHead(BaseModule):
    """Pools features; what a recognizer calls scores are then features. It has no weights, and no loss.

    Args:
        spatial_type: How features are pooled over rows and columns (of skeletons, over frames and joints): ``'avg'``,
            ``'max'`` or None for not at all.
        temporal_type: How they are pooled over frames (of skeletons, over people).
        backbone_name: ``'tsm'``, ``'slowfast'`` or ``'gcn'``, whose features have other axes; None for all others.
        num_segments: Frames of a clip, for ``'tsm'``.
        init_cfg: Has no effect.

    Raises:
        ValueError: A word is unknown, or one is missing.
    """

    num_classes = None

    def __init__(
        self,
        spatial_type: Pooling = 'avg',
        temporal_type: Pooling = 'avg',
        backbone_name: Literal['tsm', 'slowfast', 'gcn'] | None = None,
        num_segments: int | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        for name, value in (('spatial_type', spatial_type), ('temporal_type', temporal_type)):
            if value not in POOLINGS:
                raise ValueError(f"FeatureHead: {name} is 'avg', 'max' or None, not {value!r}")
        if backbone_name not in ('tsm', 'slowfast', 'gcn', None):
            raise ValueError(f"FeatureHead: backbone_name is 'tsm', 'slowfast', 'gcn' or None, not {backbone_name!r}")
        if backbone_name == 'tsm' and num_segments is None:
            raise ValueError("FeatureHead: backbone_name='tsm' needs num_segments")
        if backbone_name == 'slowfast' and temporal_type is None:
            raise ValueError('FeatureHead: features of two speeds must be pooled over time: temporal_type')
        self.over_space, self.over_time = POOLINGS[spatial_type], POOLINGS[temporal_type]
        self.backbone_name, self.num_segments = backbone_name, num_segments

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Features ``(N, C)``, or with the axes that are not pooled.

        Args:
            feats: ``(N, C, T, H, W)`` of clips, two of them of SlowFast; ``(N * T, C, H, W)`` of frames;
                ``(N, M, C, T, V)`` of skeletons; ``(N, C)``. Of a tuple of one, that.
            num_segs: T of frames.
        """
        if self.backbone_name == 'slowfast':
            return torch.cat([self._pooled(each, 2) for each in feats], dim=1)
        feat: Tensor = feats[-1] if isinstance(feats, (tuple, list)) else feats
        if feat.ndim == 2:
            return feat
        if feat.ndim == 4:
            return self._pooled(feat.unflatten(0, (-1, self.num_segments or num_segs or 1)), 1)
        return self._pooled(feat, 1 if self.backbone_name == 'gcn' else 2)

    def _pooled(self, feat: Tensor, time: int) -> Tensor:
        return self.over_time(self.over_space(feat, (-2, -1)), (time,))
