"""The second stage of boundary-sensitive networks: how well proposed segments fit.

Shapes: b streams, p proposals, c features of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from intarsia.core.registries import LOCALIZERS
from intarsia.tasks.action.localization_result import LocalizationResult
from intarsia.tasks.action.localizers.localizer import Localizer, metas_of
from intarsia.tasks.action.localizers.proposals import PostProcess, with_classes

KNOWN = ('tmin', 'tmax', 'tmin_score', 'tmax_score')
"""What a batch tells of proposals in testing, beside their features."""


@LOCALIZERS.register_module()
class PEM(Localizer):
    """The proposal evaluation module of "BSN: Boundary Sensitive Network for Temporal Action Proposal Generation".

    (Lin et al., 2018, arXiv:1806.02964).

    Args:
        pem_feat_dim: C, features of a proposal.
        pem_hidden_dim: Channels within.
        pem_u_ratio_m: With ``balanced``: proposals that fit somewhat, for each that fits well.
        pem_u_ratio_l: With ``balanced``: proposals that fit badly, for each that fits well.
        pem_high_temporal_iou_threshold: A proposal with greater IoU fits well.
        pem_low_temporal_iou_threshold: One with at most this IoU fits badly.
        soft_nms_alpha: See :class:`~intarsia.tasks.action.localizers.proposals.PostProcess`.
        soft_nms_low_threshold: As there.
        soft_nms_high_threshold: As there.
        post_process_top_k: As there.
        feature_extraction_interval: As there.
        fc1_ratio: Factor of what the first layer gives.
        fc2_ratio: Of the second, before the sigmoid.
        output_dim: Scores of each proposal.
        balanced: Whether the loss is over as many proposals of each kind as the ratios say, which are drawn, as in the
            paper. Else it is over all: the releases compute weights, but those cancel out.
        init_cfg: How weights are initialized.
    """

    input_key = 'bsp_feature'

    def __init__(
        self,
        pem_feat_dim: int,
        pem_hidden_dim: int,
        pem_u_ratio_m: float,
        pem_u_ratio_l: float,
        pem_high_temporal_iou_threshold: float,
        pem_low_temporal_iou_threshold: float,
        soft_nms_alpha: float,
        soft_nms_low_threshold: float,
        soft_nms_high_threshold: float,
        post_process_top_k: int,
        feature_extraction_interval: int = 16,
        fc1_ratio: float = 0.1,
        fc2_ratio: float = 0.1,
        output_dim: int = 1,
        balanced: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.u_ratio_m, self.u_ratio_l, self.balanced = pem_u_ratio_m, pem_u_ratio_l, balanced
        self.high_threshold, self.low_threshold = pem_high_temporal_iou_threshold, pem_low_temporal_iou_threshold
        self.fc1_ratio, self.fc2_ratio = fc1_ratio, fc2_ratio
        self.post_process = PostProcess(
            soft_nms_alpha,
            soft_nms_low_threshold,
            soft_nms_high_threshold,
            post_process_top_k,
            feature_extraction_interval,
        )
        self.fc1 = nn.Linear(pem_feat_dim, pem_hidden_dim)
        self.fc2 = nn.Linear(pem_hidden_dim, output_dim)

    def forward(self, inputs: Tensor) -> Tensor:
        """How much proposals ``(..., C)`` overlap with the truth, 0 ... 1, ``(P, output_dim)`` for all of them."""
        hidden_pc = functional.relu(self.fc1_ratio * self.fc1(inputs.flatten(0, -2)))
        return torch.sigmoid(self.fc2_ratio * self.fc2(hidden_pc))

    def loss(self, inputs: Tensor | Sequence[Tensor], targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """``temporal_iou_loss`` of a batch.

        Args:
            inputs: Features of the proposals of each stream: ``(B, P, C)``, or a list of ``(P, C)``.
            targets: ``reference_temporal_iou``: the IoU of each with the nearest true segment.
        """
        true_p = torch.cat([each.reshape(-1) for each in self.target('reference_temporal_iou', targets)])
        found_p = self(torch.cat(list(inputs))).reshape(-1)
        true_p = true_p.to(found_p)
        if self.balanced:
            chosen_p = self.draw(true_p)
            found_p, true_p = found_p[chosen_p], true_p[chosen_p]
        return {'temporal_iou_loss': functional.smooth_l1_loss(found_p, true_p)}

    def draw(self, true_p: Tensor) -> Tensor:
        """Which proposals count: all that fit well, and a part of the others; all if none fits well. Bool ``(P,)``."""
        high, low = true_p > self.high_threshold, true_p <= self.low_threshold
        chosen = high
        for kind, ratio in ((~high & ~low, self.u_ratio_m), (low, self.u_ratio_l)):
            chosen = chosen | (kind & (torch.rand_like(true_p) < ratio * high.sum() / kind.sum()))
        return chosen | ~high.any()

    # ------------------------------------------------------------------ prediction

    def test_step(self, data: Mapping[str, Any]) -> list[LocalizationResult]:
        """Results of a batch, whose ``tmin``, ``tmax``, ``tmin_score`` and ``tmax_score`` tell of its proposals.

        ``class_scores`` ``(P, K)``, if they are there, tell their classes.
        """
        features = data[self.input_key]
        metas = metas_of(features, data.get('video_meta', data.get('img_metas')))
        columns = [self.target(name, data) for name in KNOWN]
        columns += [data['class_scores']] if 'class_scores' in data else []
        with torch.no_grad():
            score_p = self(torch.cat(list(features)))[:, 0].float().cpu()
        scores = score_p.split([len(each) for each in features])
        known = zip(*columns, strict=True)
        rows = (_arrays(score, *row) for score, row in zip(scores, known, strict=True))
        return [self.result_of(meta, *row) for meta, row in zip(metas, rows, strict=True)]

    def result_of(
        self,
        meta: Mapping[str, Any],
        score_p: np.ndarray,
        tmin_p: np.ndarray,
        tmax_p: np.ndarray,
        tmin_score_p: np.ndarray,
        tmax_score_p: np.ndarray,
        class_pk: np.ndarray | None = None,
    ) -> LocalizationResult:
        """The result for one stream, from its proposals and the score of each."""
        product_p = score_p * tmin_score_p * tmax_score_p
        rows, segments, scores = self.post_process(np.column_stack([tmin_p, tmax_p, product_p]))
        labels = None
        if class_pk is not None:
            segments, scores, labels = with_classes(segments, scores, class_pk[rows])
        duration = self.post_process.seconds(meta)
        return LocalizationResult(
            segments * (duration or 1), scores, labels, duration, meta.get('video_name'), self.classes
        )


def _arrays(*tensors: Any) -> list[np.ndarray]:
    """Values of proposals as arrays ``(P,)`` or ``(P, K)``."""
    return [torch.as_tensor(each).cpu().numpy() for each in tensors]
