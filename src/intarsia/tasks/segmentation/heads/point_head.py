"""Segmentation as rendering: the most uncertain points of an upsampled map are predicted anew.

Shapes: n images, c channels, k classes, h rows, w columns, p points; a point is (x, y) in 0 ... 1 of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseCascadeDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of

CONV1D: Mapping[str, Any] = {'type': 'Conv1d'}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': False}
NORMAL_INIT: Mapping[str, Any] = {'type': 'Normal', 'std': 0.01, 'override': {'name': 'fc_seg'}}


@HEADS.register_module()
class PointHead(BaseCascadeDecodeHead):
    """A small network that classifies points from fine features and the logits of the head before it.

    "PointRend: Image Segmentation as Rendering" (Kirillov et al., 2019, arXiv:1912.08193). In training it sees random
    points, most of them uncertain ones; losses ``pointloss_ce`` and ``acc_point``. In prediction the map is doubled
    in size several times, and each time its most uncertain points are classified anew.

    Args:
        num_fcs: Number of hidden layers.
        coarse_pred_each_layer: Whether each layer sees the logits of the head before, or the first only.
        conv_cfg: Config of the layers.
        norm_cfg: Config of their normalization.
        act_cfg: Config of their activation.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``in_channels`` and
            ``in_index`` are lists.

    Attributes:
        num_points: Points in an image in training; this and the next two come from ``train_cfg`` of the model.
        oversample_ratio: How many points are drawn for each of which the uncertainty is looked at.
        importance_sample_ratio: Share of points that are chosen for their uncertainty.
        subdivision_steps: How often the map grows; this and the next two come from ``test_cfg`` of the model.
        subdivision_num_points: Points that are classified anew each time.
        scale_factor: By how much the map grows each time.
    """

    cfg_fields: ClassVar[Sequence[str]] = (
        'num_points', 'oversample_ratio', 'importance_sample_ratio',
        'subdivision_steps', 'subdivision_num_points', 'scale_factor',
    )  # fmt: skip
    """Attributes that ``train_cfg`` and ``test_cfg`` of the model set."""

    num_points: int = 2048
    oversample_ratio: float = 3
    importance_sample_ratio: float = 0.75
    subdivision_steps: int = 2
    subdivision_num_points: int = 8196
    scale_factor: float = 2

    def __init__(
        self,
        num_fcs: int = 3,
        coarse_pred_each_layer: bool = True,
        conv_cfg: Mapping[str, Any] | None = CONV1D,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = RELU,
        init_cfg: Any = NORMAL_INIT,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_transform='multiple_select', conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg,
            init_cfg=init_cfg, **kwargs,
        )  # fmt: skip
        del self.conv_seg
        self.coarse_pred_each_layer = coarse_pred_each_layer
        conv, first = convs_of(self), sum(self.in_channels) + self.out_channels
        later = self.channels + (self.out_channels if coarse_pred_each_layer else 0)
        widths = [first] + [later] * num_fcs
        self.fcs = nn.ModuleList(conv(width, self.channels) for width in widths[:-1])
        self.fc_seg = nn.Conv1d(widths[-1], self.out_channels, 1)
        self.dropout: Any = nn.Dropout(self.dropout_ratio) if self.dropout_ratio > 0 else None

    # ------------------------------------------------------------------ the network of points

    def classify(self, fine_ncp: Tensor, coarse_nkp: Tensor) -> Tensor:
        """Logits ``(N, K, P)`` of points, from their fine features and the logits of the head before."""
        x_ncp = torch.cat([fine_ncp, coarse_nkp], 1)
        for layer in self.fcs:
            x_ncp = layer(x_ncp)
            if self.coarse_pred_each_layer:
                x_ncp = torch.cat([x_ncp, coarse_nkp], 1)
        return self.fc_seg(x_ncp if self.dropout is None else self.dropout(x_ncp))

    def at_points(self, feats: Features, prev_output: Tensor, points_np2: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees at some points: fine features ``(N, C, P)``, coarse logits ``(N, K, P)``."""
        stages = self._transform_inputs(feats)
        fine = [sample_points(stage, points_np2, self.align_corners) for stage in stages]
        return torch.cat(fine, 1), sample_points(prev_output, points_np2, self.align_corners)

    # ------------------------------------------------------------------ training

    def loss(self, feats: Features, target_n1hw: Tensor, prev_output: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        """Losses by name, with ``point`` before it, and ``acc_point``, at random points."""
        points_np2 = self._training_points(prev_output.detach())
        logits_nkp = self.classify(*self.at_points(feats, prev_output, points_np2))
        label_n1p = sample_points(target_n1hw.float(), points_np2, self.align_corners, mode='nearest')
        return self.losses(logits_nkp, label_n1p)

    def losses(self, seg_logit: Tensor, seg_label: Tensor) -> dict[str, Tensor]:
        """Losses by name of logits ``(N, K, P)`` and labels ``(N, 1, P)``."""
        # Points are a map one pixel wide.
        losses = super().losses(seg_logit.unsqueeze(3), seg_label.unsqueeze(3))
        accuracy = losses.pop('acc_seg')
        return {f'point{name}': value for name, value in losses.items()} | {'acc_point': accuracy}

    def _training_points(self, logits_nkhw: Tensor) -> Tensor:
        """Random points ``(N, P, 2)``: of a large number the most uncertain ones, and some more."""
        n, device = len(logits_nkhw), logits_nkhw.device
        drawn_np2 = torch.rand(n, int(self.num_points * self.oversample_ratio), 2, device=device)
        # Of points, not of pixels: between two sure pixels of different classes lies an unsure point.
        uncertainty_np = uncertainty(sample_points(logits_nkhw, drawn_np2))
        num_uncertain = int(self.importance_sample_ratio * self.num_points)
        index_np = uncertainty_np.topk(num_uncertain, 1).indices
        uncertain_np2 = drawn_np2.gather(1, index_np[..., None].expand(-1, -1, 2))
        others_np2 = torch.rand(n, self.num_points - num_uncertain, 2, device=device)
        return torch.cat([uncertain_np2, others_np2], 1)

    # ------------------------------------------------------------------ prediction

    def forward(self, feats: Features, prev_output: Tensor) -> Tensor:  # type: ignore[override]
        """Refined logits ``(N, K, h', w')``, larger than those of the head before, ``(N, K, h, w)``."""
        logits = prev_output
        for _ in range(self.subdivision_steps):
            height, width = (int(side * self.scale_factor) for side in logits.shape[2:])
            logits = resize(logits, (height, width), mode='bilinear', align_corners=self.align_corners)
            count = min(height * width, self.subdivision_num_points)
            index_np = uncertainty(logits.flatten(2)).topk(count, 1).indices
            x_np, y_np = (index_np % width + 0.5) / width, (index_np // width + 0.5) / height
            point_logits = self.classify(*self.at_points(feats, prev_output, torch.stack([x_np, y_np], 2)))
            index_nkp = index_np[:, None].expand(-1, logits.shape[1], -1)
            logits = logits.flatten(2).scatter(2, index_nkp, point_logits.to(logits.dtype)).view_as(logits)
        return logits


def uncertainty(logits_nkp: Tensor) -> Tensor:
    """How close the second class is to the first, at most 0, ``(N, P)``; with one channel, how close to a half."""
    if logits_nkp.shape[1] == 1:
        return -logits_nkp[:, 0].abs()
    first_np, second_np = logits_nkp.topk(2, 1).values.unbind(1)
    return second_np - first_np


def sample_points(x_nchw: Tensor, points_np2: Tensor, align_corners: bool = False, mode: str = 'bilinear') -> Tensor:
    """A map at points that may lie between its pixels.

    Args:
        x_nchw: ``(N, C, H, W)``.
        points_np2: (x, y) in 0 ... 1 of the image, ``(N, P, 2)``.
        align_corners: Whether 0 and 1 are the centres of the outermost pixels, or their outer edges.
        mode: ``'bilinear'`` or ``'nearest'``.

    Returns:
        ``(N, C, P)``.
    """
    grid_np12 = (2 * points_np2 - 1).unsqueeze(2).to(x_nchw.dtype)
    return F.grid_sample(x_nchw, grid_np12, mode=mode, align_corners=align_corners).squeeze(3)
