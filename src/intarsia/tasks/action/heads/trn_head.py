"""The head that relates frames in order to each other.

Shapes: x clips, t frames of each, d hidden channels, k classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.tasks.action.heads.cls_head import CROSS_ENTROPY
from intarsia.tasks.action.heads.tsn_head import MEAN, TSNHead


def relation(in_channels: int, bottleneck: int, num_classes: int) -> nn.Sequential:
    """Scores of frames that are joined to one vector."""
    return nn.Sequential(nn.ReLU(), nn.Linear(in_channels, bottleneck), nn.ReLU(), nn.Linear(bottleneck, num_classes))


class RelationModule(nn.Module):
    """Scores of all frames together. State keys: ``classifier``.

    Args:
        hidden_dim: D.
        num_segments: T.
        num_classes: K.
    """

    def __init__(self, hidden_dim: int, num_segments: int, num_classes: int) -> None:
        super().__init__()
        self.classifier = relation(num_segments * hidden_dim, 512, num_classes)

    def forward(self, feat_xtd: Tensor) -> Tensor:
        """``(X, T, D)`` -> ``(X, K)``."""
        return self.classifier(feat_xtd.flatten(1))


class RelationModuleMultiScale(nn.Module):
    """The sum of the scores of all frames and of some subsets of T - 1 ... 2 frames, three of each size.

    In training the subsets are drawn for every batch; in evaluation they are always the same, so that a clip always
    gets the same scores. State keys: ``fc_fusion_scales``, from the largest size on.

    Args:
        hidden_dim: D.
        num_segments: T.
        num_classes: K.
    """

    MAX_SUBSETS: ClassVar[int] = 3

    def __init__(self, hidden_dim: int, num_segments: int, num_classes: int) -> None:
        super().__init__()
        sizes = range(num_segments, 1, -1)
        self.subsets = [list(itertools.combinations(range(num_segments), size)) for size in sizes]
        self.fc_fusion_scales = nn.ModuleList(relation(size * hidden_dim, 256, num_classes) for size in sizes)

    def draw(self, num: int, generator: torch.Generator | None) -> list[int]:
        """Which of ``num`` subsets are used."""
        return torch.randperm(num, generator=generator, device='cpu')[: self.MAX_SUBSETS].tolist()

    def forward(self, feat_xtd: Tensor) -> Tensor:
        """``(X, T, D)`` -> ``(X, K)``."""
        generator = None if self.training else torch.Generator().manual_seed(0)
        score_xk: Tensor = self.fc_fusion_scales[0](feat_xtd.flatten(1))
        for subsets, layers in zip(self.subsets[1:], self.fc_fusion_scales[1:], strict=True):
            for i in self.draw(len(subsets), generator):
                score_xk = score_xk + layers(feat_xtd[:, subsets[i]].flatten(1))
        return score_xk


@HEADS.register_module()
class TRNHead(TSNHead):
    """Scores of ordered frames: "Temporal Relational Reasoning in Videos" (Zhou et al., 2017, arXiv:1711.08496).

    State keys: ``fc_cls`` to the hidden channels, ``consensus``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        num_segments: T, at least 2.
        loss_cls: Config of the loss.
        spatial_type: As in :class:`~intarsia.tasks.action.heads.tsn_head.TSNHead`, like all that are not explained
            here.
        relation_type: ``'TRN'`` relates all frames, ``'TRNMultiScale'`` also some of their subsets.
        hidden_dim: D.
        dropout_ratio: Of each frame's feature.
        init_std: Standard deviation of the first weights of ``fc_cls``.
        kwargs: As :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.

    Raises:
        ValueError: ``relation_type`` is none of the two, or there are fewer than two frames.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_segments: int = 8,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        spatial_type: Literal['avg'] | None = 'avg',
        relation_type: Literal['TRN', 'TRNMultiScale'] = 'TRNMultiScale',
        hidden_dim: int = 256,
        dropout_ratio: float = 0.8,
        init_std: float = 0.001,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, spatial_type, MEAN, dropout_ratio, init_std, **kwargs)
        require_choice('TRNHead: relation_type', relation_type, ('TRN', 'TRNMultiScale'))
        if num_segments < 2:
            raise ValueError(f'TRNHead: a relation needs two frames, not num_segments={num_segments}')
        self.num_segments = num_segments
        kind = RelationModule if relation_type == 'TRN' else RelationModuleMultiScale
        self.fc_cls = nn.Linear(in_channels, hidden_dim)
        self.consensus = kind(hidden_dim, num_segments, num_classes)

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N * V, K)`` of features ``(N * V * T, C, ...)``; ``num_segs`` is not used."""
        feat_xd = self.fc_cls(self.dropout(self.pooled(feats)))
        return self.consensus(feat_xd.unflatten(0, (-1, self.num_segments)))
