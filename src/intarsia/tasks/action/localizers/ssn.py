"""Structured segment networks: frames of proposals are classified, and their boundaries moved.

Shapes: b streams, n proposals, s segments of each, t frames of a stream, c channels, h rows, w columns, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intarsia.core.errors import DataError
from intarsia.core.registries import LOCALIZERS
from intarsia.models.parts import build_backbone, build_part
from intarsia.models.task_model import Image, TaskModel
from intarsia.tasks.action.localization_result import LocalizationResult
from intarsia.tasks.action.localizers.suppression import temporal_nms

POOLS = {'avg': nn.AdaptiveAvgPool2d, 'max': nn.AdaptiveMaxPool2d}
TRAINED_ON = ('proposal_scale_factor', 'proposal_type', 'proposal_labels', 'reg_targets')
TESTED_ON = ('relative_proposal_list', 'scale_factor_list', 'proposal_tick_list', 'reg_norm_consts')
"""Entries of batches beside the frames, as :class:`~intarsia.tasks.action.datasets.ssn.SSNDataset` makes them."""


@LOCALIZERS.register_module()
class SSN(TaskModel):
    """Classifies proposals by what is before, in and after them.

    "Temporal Action Detection with Structured Segment Networks" (Zhao et al., 2017, arXiv:1704.06228).

    Args:
        backbone: Config of the backbone, a 2D network of frames, or a module.
        cls_head: Config of the head, called as :class:`~intarsia.tasks.action.heads.ssn_head.SSNHead`.
        in_channels: Channels of a frame, or of a stack of flow.
        spatial_type: How features of a frame are pooled: ``'avg'`` or ``'max'``; else they are not.
        dropout_ratio: Probability that a feature is set to 0 in training.
        loss_cls: Config of the loss, called as :class:`~intarsia.tasks.action.losses.ssn_loss.SSNLoss`.
        train_cfg: See the loss.
        test_cfg: ``ssn.sampler.batch_size``: frames that go through the backbone at once; ``ssn.evaluater``: ``top_k``,
            most pairs of proposal and class that are looked at, all if not positive; ``nms``, greatest IoU of two
            segments of a class.
        init_cfg: How weights are initialized.
    """

    input_key = 'imgs'

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        cls_head: Mapping[str, Any] | nn.Module,
        in_channels: int = 3,
        spatial_type: str | None = 'avg',
        dropout_ratio: float = 0.5,
        loss_cls: Mapping[str, Any] | nn.Module = dict(type='action.SSNLoss'),  # noqa: B006
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.backbone, self.cls_head = build_backbone(backbone, 'action', None), build_part(cls_head, 'action')
        self.loss_cls = build_part(loss_cls, 'action')
        self.in_channels = in_channels
        self.pool = POOLS[spatial_type](1) if spatial_type in POOLS else nn.Identity()
        self.dropout = nn.Dropout(dropout_ratio)
        self.train_cfg = train_cfg or {}
        testing = (test_cfg or {}).get('ssn', {})
        self.frames_at_once = testing.get('sampler', {}).get('batch_size', 16)
        self.top_k, self.nms = (testing.get('evaluater', {}).get(*each) for each in (('top_k', 2000), ('nms', 0.2)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Features ``(frames, C)`` of frames ``(..., C, H, W)``, all axes before the last two taken together."""
        frame_xchw = inputs.reshape(-1, self.in_channels, *inputs.shape[-2:])
        feats = self.backbone(frame_xchw)
        return self.pool(feats[-1] if isinstance(feats, (tuple, list)) else feats).flatten(1)

    # ------------------------------------------------------------------ losses

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Frames of the segments of proposals ``(B, N, S, C, H, W)``.
            targets: ``proposal_scale_factor`` ``(B, N, 2)``, ``proposal_type`` and ``proposal_labels`` ``(B, N)``,
                ``reg_targets`` ``(B, N, 2)``.

        Raises:
            KeyError: Something is missing.
        """
        scale_bn2, *rest = self._entries(targets, TRAINED_ON)
        activity, completeness, moved = self.cls_head(self.dropout(self(inputs)), scale_bn2.reshape(-1, 2))
        return self.loss_cls(activity, completeness, moved, *rest, self.train_cfg)

    def _entries(self, data: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        missing = [name for name in names if name not in data]
        if missing:
            raise KeyError(f'SSN needs {", ".join(missing)} in a batch that has {sorted(data)}: is it an SSNDataset?')
        return [data[name] for name in names]

    # ------------------------------------------------------------------ prediction

    def describe(self, image: Image) -> dict[str, Any]:
        """Nothing: a file has no proposals.

        Raises:
            DataError: Always.
        """
        raise DataError('SSN classifies proposals, which a file does not have; `intarsia test` takes an SSNDataset')

    def test_step(self, data: Mapping[str, Any]) -> list[LocalizationResult]:
        """One result per stream, from its frames ``imgs`` ``(B, T, C, H, W)`` and its proposals."""
        columns = [data[self.input_key], *self._entries(data, TESTED_ON)]
        with torch.no_grad():
            return [self.result_of(*row) for row in zip(*columns, strict=True)]

    def result_of(
        self, frames: Tensor, proposal_n2: Tensor, scale_n2: Tensor, tick_n4: Tensor, constants: Tensor
    ) -> LocalizationResult:
        """The result for one stream.

        Args:
            frames: ``(T, C, H, W)``.
            proposal_n2: Begins and ends, shares of the stream.
            scale_n2: How much of what is before and after lies within the stream.
            tick_n4: Positions among the frames where stages begin, and where the last one ends.
            constants: Means and standard deviations of the numbers that move boundaries, ``(2, 2)``.
        """
        frame_tchw = frames.reshape(-1, self.in_channels, *frames.shape[-2:])
        feat_tc = torch.cat([self(part) for part in frame_tchw.split(self.frames_at_once)])
        ticks, scales = tick_n4.cpu().numpy(), scale_n2.cpu().numpy()
        activity, completeness, moved = self.cls_head.scores_in_stream(feat_tc, ticks, scales)
        if moved is not None:
            moved = (moved * constants[1].to(moved) + constants[0].to(moved)).float().cpu().numpy()
        score_nk = (activity[:, 1:].softmax(1) * completeness.exp()).float().cpu().numpy()
        return self.detections(proposal_n2.cpu().numpy(), score_nk, moved)

    def detections(
        self, proposal_n2: np.ndarray, score_nk: np.ndarray, moved_nk2: np.ndarray | None
    ) -> LocalizationResult:
        """The segments of a stream, from the scores of proposals and how much their boundaries move."""
        best = np.argsort(score_nk.ravel())[::-1]
        rows, labels = np.divmod(best[: self.top_k] if self.top_k > 0 else best, score_nk.shape[1])
        found_d3 = np.column_stack([proposal_n2[rows], score_nk[rows, labels]]).astype(np.float64)
        if moved_nk2 is not None:
            found_d3[:, :2] = move_boundaries(found_d3[:, :2], moved_nk2[rows, labels])
        by_class = [temporal_nms(found_d3[labels == label], self.nms) for label in range(score_nk.shape[1])]
        label_d = np.repeat(np.arange(len(by_class)), [len(each) for each in by_class])
        kept_d3 = np.concatenate(by_class)
        order = np.argsort(-kept_d3[:, 2], kind='stable')
        kept_d3 = kept_d3[order]
        return LocalizationResult(kept_d3[:, :2], kept_d3[:, 2], label_d[order], classes=self.classes)


def move_boundaries(segment_d2: np.ndarray, moved_d2: np.ndarray) -> np.ndarray:
    """Segments whose centre moves by a part of their length, and whose length grows by a power of e; 0 ... 1."""
    length_d = segment_d2[:, 1] - segment_d2[:, 0]
    center_d = segment_d2.mean(1) + length_d * moved_d2[:, 0]
    half_d = length_d * np.exp(moved_d2[:, 1]) / 2
    return np.stack([center_d - half_d, center_d + half_d], 1).clip(0, 1)
