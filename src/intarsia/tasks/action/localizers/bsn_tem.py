"""The first stage of boundary-sensitive networks: which positions are within an action, begin or end one.

Shapes: b streams, c channels, t positions, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from intarsia.core.registries import LOCALIZERS
from intarsia.models.parts import build_part
from intarsia.tasks.action.localization_result import BoundaryResult
from intarsia.tasks.action.localizers.localizer import (
    Localizer,
    boundaries,
    metas_of,
    pad_segments,
    position_classes,
    position_overlap,
)
from intarsia.tasks.action.localizers.proposals import candidate_proposals, mean_class_scores, with_classes


@LOCALIZERS.register_module()
class TEM(Localizer):
    """The temporal evaluation module of "BSN: Boundary Sensitive Network for Temporal Action Proposal Generation".

    (Lin et al., 2018, arXiv:1806.02964). From its results ``intarsia proposals`` makes what :class:`PEM
    <intarsia.tasks.action.localizers.bsn_pem.PEM>` is trained on.

    Args:
        temporal_dim: T, positions of a stream.
        boundary_ratio: Width of true begins and ends, as a part of the length of the segment; at least a position.
        tem_feat_dim: Channels of the features.
        tem_hidden_dim: Channels within.
        tem_match_threshold: Positions of which a greater part is covered are positive.
        loss_cls: Config of the loss, called as ``loss(score, label, threshold)``.
        loss_weight: Factor of the loss of actions.
        output_dim: Scores of each position; the first three are action, begin and end.
        conv1_ratio: Factor of what the first convolution gives.
        conv2_ratio: Of the second.
        conv3_ratio: Of the third, before the sigmoid.
        num_classes: K, for a branch that classifies the positions, so that segments get classes; None has none.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        temporal_dim: int,
        boundary_ratio: float,
        tem_feat_dim: int,
        tem_hidden_dim: int,
        tem_match_threshold: float,
        loss_cls: Mapping[str, Any] | nn.Module = dict(type='action.BinaryLogisticRegressionLoss'),  # noqa: B006
        loss_weight: float = 2,
        output_dim: int = 3,
        conv1_ratio: float = 1,
        conv2_ratio: float = 1,
        conv3_ratio: float = 0.01,
        num_classes: int | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.input_size = tem_feat_dim, temporal_dim
        self.temporal_dim, self.boundary_ratio = temporal_dim, boundary_ratio
        self.match_threshold, self.num_classes = tem_match_threshold, num_classes
        self.loss_cls, self.loss_weight = build_part(loss_cls, 'action'), loss_weight
        self.ratios = conv1_ratio, conv2_ratio, conv3_ratio
        self.conv1 = nn.Conv1d(tem_feat_dim, tem_hidden_dim, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(tem_hidden_dim, tem_hidden_dim, kernel_size=3, padding=1)
        self.conv3 = nn.Conv1d(tem_hidden_dim, output_dim, kernel_size=1)
        if num_classes is not None:
            self.conv_cls = nn.Conv1d(tem_hidden_dim, num_classes + 1, kernel_size=1)

    # ------------------------------------------------------------------ the network

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Scores of positions, 0 ... 1, ``(B, 3, T)``: action, begin, end.

        With ``num_classes`` also those of classes before softmax, ``(B, 1 + K, T)``, the background first.

        Raises:
            DataError: There are other channels, or another number of positions.
        """
        self.check_input(inputs)
        first, second, third = self.ratios
        hidden_bct = functional.relu(first * self.conv1(inputs))
        hidden_bct = functional.relu(second * self.conv2(hidden_bct))
        score_b3t = torch.sigmoid(third * self.conv3(hidden_bct))
        return score_b3t if self.num_classes is None else (score_b3t, self.conv_cls(hidden_bct))

    # ------------------------------------------------------------------ losses

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Features ``(B, C, T)``.
            targets: ``gt_bbox``: of each stream begins and ends ``(n, 2)``, shares of the stream; with ``num_classes``
                also ``gt_labels``, int64 ``(n,)`` each.

        Returns:
            ``loss_action``, ``loss_start``, ``loss_end``; with ``num_classes`` also ``loss_cls``.
        """
        segment_bg2 = pad_segments(self.target('gt_bbox', targets), inputs)
        outputs = self(inputs)
        if self.num_classes is None:
            return self.loss_of(outputs, self.labels_of(segment_bg2))
        losses = self.loss_of(outputs[0], self.labels_of(segment_bg2))
        label_bt = position_classes(self.temporal_dim, segment_bg2, self.target('gt_labels', targets))
        return {**losses, 'loss_cls': functional.cross_entropy(outputs[1], label_bt)}

    def loss_of(self, score_b3t: Tensor, labels: Sequence[Tensor]) -> dict[str, Tensor]:
        """Losses of scores, from what :meth:`labels_of` gives."""
        pairs = zip(score_b3t.unbind(1), labels, strict=False)
        action, start, end = (self.loss_cls(score_bt, label_bt, self.match_threshold) for score_bt, label_bt in pairs)
        return {'loss_action': action * self.loss_weight, 'loss_start': start, 'loss_end': end}

    def labels_of(self, segment_bg2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How much of each position is covered by actions, begins and ends: ``(B, T)`` each."""
        length_bg = segment_bg2[..., 1] - segment_bg2[..., 0]
        width_bg = (self.boundary_ratio * length_bg).clamp(min=1 / self.temporal_dim)
        windows = segment_bg2, *boundaries(segment_bg2, width_bg)
        action_bt, start_bt, end_bt = (position_overlap(self.temporal_dim, 0, 1, window) for window in windows)
        return action_bt, start_bt, end_bt

    # ------------------------------------------------------------------ prediction

    def results_of(self, inputs: Tensor, metas: Sequence[Mapping[str, Any]] | None = None) -> list[BoundaryResult]:
        """One result per stream; ``metas`` has ``video_name`` and, for seconds, ``duration_second`` of each."""
        outputs = self(inputs)
        score_b3t, class_bkt = outputs if isinstance(outputs, tuple) else (outputs, None)
        anchor_t = np.arange(self.temporal_dim)
        anchors_t2 = np.stack([anchor_t / self.temporal_dim, (anchor_t + 1) / self.temporal_dim], 1)
        columns = [score_b3t[:, :3].detach().transpose(1, 2).float().cpu().numpy()]
        columns.append(np.broadcast_to(anchors_t2.astype(np.float32), (len(inputs), *anchors_t2.shape)))
        if class_bkt is not None:
            columns.append(class_bkt.detach().float().softmax(1)[:, 1:].transpose(1, 2).cpu().numpy())
        rows = zip(np.concatenate(columns, axis=2), metas_of(inputs, metas), strict=True)
        return [self.result_of(position_tc, meta) for position_tc, meta in rows]

    def result_of(self, position_tc: np.ndarray, meta: Mapping[str, Any]) -> BoundaryResult:
        """Candidate segments of a stream, and the scores of positions they come from."""
        proposal_p5 = candidate_proposals(position_tc)
        segments, scores, labels = proposal_p5[:, :2], proposal_p5[:, 4], None
        if self.num_classes is not None:
            class_pk = mean_class_scores(position_tc[:, 5:], segments)
            segments, scores, labels = with_classes(segments, scores, class_pk)
        duration = meta.get('duration_second')
        return BoundaryResult(
            segments * (duration or 1), scores, labels, duration, meta.get('video_name'), self.classes, position_tc
        )
