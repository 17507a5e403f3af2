"""Boundary-matching networks.

Shapes: b streams, c channels, t positions (begins of segments), d lengths of segments (as many), k classes.
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
from intarsia.tasks.action.localization_result import LocalizationResult
from intarsia.tasks.action.localizers.boundary_matching import (
    SparseTable,
    match_boundaries,
    sample_table,
    valid_segments,
)
from intarsia.tasks.action.localizers.localizer import (
    Localizer,
    boundaries,
    metas_of,
    pad_segments,
    position_classes,
    position_overlap,
)
from intarsia.tasks.action.localizers.proposals import PostProcess, likely_boundaries, mean_class_scores, with_classes

BOUNDARY_WIDTH = 3.0
"""Positions that a true begin or end is wide."""


@LOCALIZERS.register_module()
class BMN(Localizer):
    """Proposes segments of a stream from the scores of begins, ends and all segments at once.

    "BMN: Boundary-Matching Network for Temporal Action Proposal Generation" (Lin et al., 2019, arXiv:1907.09702).

    Its segments have no classes. Where a stream has one class, it comes from a classifier of whole streams; where it
    has several, ``num_classes`` adds a branch that classifies the positions: a segment is of the two classes with the
    greatest mean probabilities over its positions, by which the root of its score is multiplied.

    Args:
        temporal_dim: T, positions of a stream.
        boundary_ratio: How far beyond its begin and end a segment is looked at, as a part of its length.
        num_samples: Samples along each segment.
        num_samples_per_bin: Places whose mean is a sample.
        feat_dim: Channels of the features, a multiple of 4.
        soft_nms_alpha: See :class:`~intarsia.tasks.action.localizers.proposals.PostProcess`.
        soft_nms_low_threshold: As there.
        soft_nms_high_threshold: As there.
        post_process_top_k: As there.
        feature_extraction_interval: As there.
        loss_cls: Config of the loss, called as :class:`~intarsia.tasks.action.losses.bmn_loss.BMNLoss`.
        hidden_dim_1d: Channels of positions, a multiple of 4.
        hidden_dim_2d: Channels of segments.
        hidden_dim_3d: Channels of segments right after sampling.
        num_classes: K, for the branch that classifies positions; None has none.
        groups: Groups of the convolutions over positions.
        keeps_bm_mask: Whether the state dict has ``bm_mask``, as releases since 1.0 write it.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Channels are not a multiple of the groups.
    """

    bm_mask: Tensor

    def __init__(
        self,
        temporal_dim: int,
        boundary_ratio: float,
        num_samples: int,
        num_samples_per_bin: int,
        feat_dim: int,
        soft_nms_alpha: float,
        soft_nms_low_threshold: float,
        soft_nms_high_threshold: float,
        post_process_top_k: int,
        feature_extraction_interval: int = 16,
        loss_cls: Mapping[str, Any] | nn.Module = dict(type='action.BMNLoss'),  # noqa: B006
        hidden_dim_1d: int = 256,
        hidden_dim_2d: int = 128,
        hidden_dim_3d: int = 512,
        num_classes: int | None = None,
        groups: int = 4,
        keeps_bm_mask: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.input_size = feat_dim, temporal_dim
        if feat_dim % groups or hidden_dim_1d % groups:
            raise ValueError(
                f'BMN: feat_dim={feat_dim} and hidden_dim_1d={hidden_dim_1d} must be multiples of {groups}'
            )
        self.tscale, self.num_samples, self.num_classes = temporal_dim, num_samples, num_classes
        self.post_process = PostProcess(
            soft_nms_alpha,
            soft_nms_low_threshold,
            soft_nms_high_threshold,
            post_process_top_k,
            feature_extraction_interval,
        )
        self.loss_cls = build_part(loss_cls, 'action')
        table = sample_table(temporal_dim, num_samples, num_samples_per_bin, boundary_ratio)
        self.sample_mask = nn.Parameter(table, requires_grad=False)
        self.register_buffer('bm_mask', valid_segments(temporal_dim), persistent=keeps_bm_mask)
        if not keeps_bm_mask:
            self.register_load_state_dict_pre_hook(_drop_bm_mask)
        self._sparse: tuple[Any, SparseTable] | None = None
        self._make_layers(feat_dim, hidden_dim_1d, hidden_dim_2d, hidden_dim_3d, groups)

    def _make_layers(self, feat_dim: int, wide: int, hidden_dim_2d: int, hidden_dim_3d: int, groups: int) -> None:
        relu = nn.ReLU(inplace=True)

        def conv(in_channels: int, num_groups: int = groups) -> nn.Conv1d:
            return nn.Conv1d(in_channels, wide, kernel_size=3, padding=1, groups=num_groups)

        def scores(num: int, *last: nn.Module) -> nn.Sequential:
            return nn.Sequential(conv(wide), relu, nn.Conv1d(wide, num, kernel_size=1), *last)

        self.x_1d_b = nn.Sequential(conv(feat_dim), relu, conv(wide), relu)
        self.x_1d_s, self.x_1d_e = scores(1, nn.Sigmoid()), scores(1, nn.Sigmoid())
        self.x_1d_p = nn.Sequential(conv(wide, 1), relu)
        self.x_3d_p: Any = nn.Sequential(nn.Conv3d(wide, hidden_dim_3d, kernel_size=(self.num_samples, 1, 1)), relu)
        self.x_2d_p = nn.Sequential(
            nn.Conv2d(hidden_dim_3d, hidden_dim_2d, kernel_size=1),
            relu,
            nn.Conv2d(hidden_dim_2d, hidden_dim_2d, kernel_size=3, padding=1),
            relu,
            nn.Conv2d(hidden_dim_2d, hidden_dim_2d, kernel_size=3, padding=1),
            relu,
            nn.Conv2d(hidden_dim_2d, 2, kernel_size=1),
            nn.Sigmoid(),
        )
        if self.num_classes is not None:
            self.x_1d_c = scores(self.num_classes + 1)

    # ------------------------------------------------------------------ the network

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Scores of features ``(B, C, T)``.

        Returns:
            Scores, 0 ... 1, of segments ``(B, 2, D, T)``, how much they overlap and whether they are right; of begins
            ``(B, T)``; of ends ``(B, T)``. With ``num_classes`` also those of classes before softmax ``(B, 1 + K, T)``,
            the background first.

        Raises:
            DataError: There are other channels, or another number of positions.
        """
        self.check_input(inputs)
        base_bct = self.x_1d_b(inputs)
        start_bt, end_bt = self.x_1d_s(base_bct).squeeze(1), self.x_1d_e(base_bct).squeeze(1)
        weight_ocn, bias_o11 = self.x_3d_p[0].weight.flatten(2), self.x_3d_p[0].bias[:, None, None]
        segment_bodt = match_boundaries(self.x_1d_p(base_bct), weight_ocn, self.sparse_table())
        confidence_b2dt = self.x_2d_p(functional.relu(segment_bodt + bias_o11))
        classes = (self.x_1d_c(base_bct),) if self.num_classes is not None else ()
        return confidence_b2dt, start_bt, end_bt, *classes

    def sparse_table(self) -> SparseTable:
        """``sample_mask`` without its zeros; made anew when that has changed or moved."""
        key = (self.sample_mask.device, self.sample_mask.data_ptr(), self.sample_mask._version)
        if self._sparse is None or self._sparse[0] != key:
            self._sparse = key, SparseTable.of(self.sample_mask.detach(), self.num_samples)
        return self._sparse[1]

    # ------------------------------------------------------------------ losses

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Features ``(B, C, T)``.
            targets: ``gt_bbox``: of each stream begins and ends ``(n, 2)``, shares of the stream; with ``num_classes``
                also ``gt_labels``, int64 ``(n,)`` each.

        Returns:
            ``loss_bmn``, and its parts ``tem``, ``pem_reg``, ``pem_cls``, which are only logged; with ``num_classes``
            also ``loss_cls``.
        """
        segment_bg2 = pad_segments(self.target('gt_bbox', targets), inputs)
        outputs = self(inputs)
        losses = self.loss_of(outputs, self.labels_of(segment_bg2))
        if self.num_classes is not None:
            label_bt = position_classes(self.tscale, segment_bg2, self.target('gt_labels', targets))
            losses['loss_cls'] = functional.cross_entropy(outputs[3], label_bt)
        return losses

    def loss_of(self, outputs: Sequence[Tensor], labels: Sequence[Tensor]) -> dict[str, Tensor]:
        """Losses of what :meth:`forward` gives, from what :meth:`labels_of` gives."""
        total, tem, reg, cls = self.loss_cls(*outputs[:3], *labels, self.bm_mask)
        return {'loss_bmn': total, 'tem': tem, 'pem_reg': reg, 'pem_cls': cls}

    def labels_of(self, segment_bg2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """IoU of every segment ``(B, D, T)``, overlap of positions with begins ``(B, T)`` and with ends."""
        scale = self.tscale
        begin_t = torch.arange(scale, dtype=segment_bg2.dtype, device=segment_bg2.device) / scale
        length_d1 = (begin_t + 1 / scale)[:, None]
        true_begin, true_end = segment_bg2[..., None, None].unbind(2)
        shared = (torch.minimum(begin_t + length_d1, true_end) - torch.maximum(begin_t, true_begin)).clamp(min=0)
        iou_bdt = (shared / (length_d1 - shared + true_end - true_begin)).amax(1).float()
        windows = boundaries(segment_bg2, BOUNDARY_WIDTH / scale)
        start_bt, end_bt = (position_overlap(scale, -0.5, 1.5, window) for window in windows)
        return iou_bdt, start_bt, end_bt

    # ------------------------------------------------------------------ prediction

    def results_of(self, inputs: Tensor, metas: Sequence[Mapping[str, Any]] | None = None) -> list[LocalizationResult]:
        """One result per stream; ``metas`` has ``video_name``, ``duration_second`` and ``duration_frame`` of each."""
        outputs = [each.detach().float() for each in self(inputs)]
        if self.num_classes is not None:
            outputs[3] = outputs[3].softmax(1)[:, 1:].transpose(1, 2)
        rows = zip(*(each.cpu().numpy() for each in outputs), strict=True)
        return [self.result_of(meta, *row) for meta, row in zip(metas_of(inputs, metas), rows, strict=True)]

    def result_of(
        self,
        meta: Mapping[str, Any],
        confidence_2dt: np.ndarray,
        start_t: np.ndarray,
        end_t: np.ndarray,
        class_tk: np.ndarray | None = None,
    ) -> LocalizationResult:
        """The result for one stream, from its scores as :meth:`forward` has them; of classes, probabilities."""
        _, segments, scores = self.post_process(self.proposals_of(confidence_2dt, start_t, end_t))
        labels = None
        if class_tk is not None:
            # A product of four scores falls off so fast that a wrong class of one segment would beat the right one of
            # another.
            class_pk = mean_class_scores(class_tk, segments)
            segments, scores, labels = with_classes(segments, np.sqrt(scores), class_pk)
        duration = self.post_process.seconds(meta)
        segments = segments * (duration or 1)
        return LocalizationResult(segments, scores, labels, duration, meta.get('video_name'), self.classes)

    @staticmethod
    def proposals_of(confidence_2dt: np.ndarray, start_t: np.ndarray, end_t: np.ndarray) -> np.ndarray:
        """Begin, end and score ``(P, 3)`` of all segments between likely boundaries; those of the stream are likely."""
        is_start, is_end = likely_boundaries(start_t), likely_boundaries(end_t)
        is_start[0] = is_end[-1] = True
        length_p, begin_p = np.nonzero(_ends_at(is_end) & is_start)
        end_p = begin_p + length_p + 1
        reg_p, cls_p = confidence_2dt[:, length_p, begin_p]
        score_p = start_t[begin_p] * end_t[end_p] * cls_p * reg_p
        return np.column_stack([begin_p / len(start_t), end_p / len(end_t), score_p])


def _drop_bm_mask(module: nn.Module, state: dict[str, Any], prefix: str, *args: Any) -> None:
    """Weights of later releases have a table that is always the same."""
    state.pop(f'{prefix}bm_mask', None)


def _ends_at(is_end_t: np.ndarray) -> np.ndarray:
    """Whether the segment of each length and begin ends where an end is, bool ``(D, T)``."""
    padded = np.concatenate([is_end_t, np.zeros(len(is_end_t), bool)])
    return np.lib.stride_tricks.sliding_window_view(padded[1:], len(is_end_t))[: len(is_end_t)]
