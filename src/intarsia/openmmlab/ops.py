"""Operators of ``mmcv.ops`` that old code imports, in plain PyTorch.

Shapes: n samples, q queries, l places, h heads, p points, c channels, k classes.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.init import constant_init, xavier_init
from intarsia.nn.module import BaseModule
from intarsia.tasks.pose.metrics.nms import nms as kept_boxes
from intarsia.tasks.segmentation.heads.point_head import sample_points


def point_sample(input: Tensor, points: Tensor, align_corners: bool = False, **kwargs: Any) -> Tensor:
    """A map ``(N, C, H, W)`` at points ``(N, P, 2)`` or ``(N, Hp, Wp, 2)``, x and y in 0 ... 1.

    Returns:
        ``(N, C, P)``, or ``(N, C, Hp, Wp)``.
    """
    found = sample_points(input, points.flatten(1, -2), align_corners, **kwargs)
    return found.unflatten(2, points.shape[1:3]) if points.ndim == 4 else found


def sigmoid_focal_loss(
    input: Tensor, target: Tensor, gamma: float = 2.0, alpha: float = 0.25, weight: Any = None, reduction: str = 'mean'
) -> Tensor:
    """Focal loss of logits ``(N, K)`` and classes ``(N,)``; K stands for none ("Focal Loss for Dense Object Detection",
    Lin et al., 2017, arXiv:1708.02002).

    Args:
        input: Logits.
        target: Classes.
        gamma: Exponent of the probability of what is not so.
        alpha: Weight of what is so.
        weight: Of each class ``(K,)``.
        reduction: ``'mean'`` over the samples, ``'sum'`` or ``'none'``.
    """
    label_nk = F.one_hot(target, input.shape[1] + 1)[:, :-1].to(input.dtype)
    probability_nk = input.sigmoid()
    wrong_nk = torch.where(label_nk > 0, 1 - probability_nk, probability_nk)
    factor_nk = torch.where(label_nk > 0, alpha, 1 - alpha) * wrong_nk**gamma
    loss_nk = factor_nk * F.binary_cross_entropy_with_logits(input, label_nk, reduction='none')
    if weight is not None:
        loss_nk = loss_nk * torch.cat([weight, weight.new_zeros(1)])[target][:, None]
    if reduction == 'none':
        return loss_nk
    return loss_nk.sum() / len(input) if reduction == 'mean' else loss_nk.sum()


def nms(
    boxes: Any, scores: Any, iou_threshold: float, offset: int = 0, score_threshold: float = 0, max_num: int = -1
) -> tuple[Any, Any]:
    """The best of boxes that overlap.

    Args:
        boxes: Left, top, right, bottom ``(N, 4)``.
        scores: ``(N,)``.
        iou_threshold: Greatest quotient of intersection and union that both boxes survive.
        offset: 1 if right and bottom are pixels inside.
        score_threshold: Boxes that are not better are left out.
        max_num: How many are kept at most; -1 for all.

    Returns:
        Boxes with scores ``(M, 5)``, and their indices.
    """
    rows = torch.cat([torch.as_tensor(boxes).float(), torch.as_tensor(scores).float()[:, None]], 1)
    candidates = np.flatnonzero((rows[:, 4] > score_threshold).cpu().numpy()) if score_threshold > 0 else None
    array = rows.detach().cpu().numpy().astype(np.float64)
    array[:, 2:4] += offset - 1  # of pixels inside
    chosen = array if candidates is None else array[candidates]
    kept = np.asarray(kept_boxes(chosen, iou_threshold), np.int64)
    kept = (kept if candidates is None else candidates[kept])[: None if max_num < 0 else max_num]
    index = torch.as_tensor(kept, device=rows.device)
    if isinstance(boxes, np.ndarray):
        return rows[index].numpy(), kept
    return rows[index].to(boxes.dtype), index


def multi_scale_deformable_attn_pytorch(
    value: Tensor, value_spatial_shapes: Tensor, sampling_locations: Tensor, attention_weights: Tensor
) -> Tensor:
    """Values of several maps at points, weighed ("Deformable DETR", Zhu et al., 2020, arXiv:2010.04159).

    Args:
        value: ``(N, L, H, C)``, the places of all maps one after the other.
        value_spatial_shapes: Height and width of each map.
        sampling_locations: x and y in 0 ... 1, ``(N, Q, H, maps, P, 2)``.
        attention_weights: ``(N, Q, H, maps, P)``.

    Returns:
        ``(N, Q, H * C)``.
    """
    num_samples, _, num_heads, channels = value.shape
    num_queries = sampling_locations.shape[1]
    sizes = [(int(height), int(width)) for height, width in value_spatial_shapes]
    grids = (2 * sampling_locations - 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 1)  # (N * H, maps, Q, P, 2)
    sampled = []
    for level, part in enumerate(value.split([height * width for height, width in sizes], dim=1)):
        map_xchw = part.permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, sizes[level])
        sampled.append(F.grid_sample(map_xchw, grids[:, level], padding_mode='zeros', align_corners=False))
    weights_x1qp = attention_weights.permute(0, 2, 1, 3, 4).flatten(0, 1).flatten(2)[:, None]
    summed_xcq = (torch.stack(sampled, -2).flatten(-2) * weights_x1qp).sum(-1)
    return summed_xcq.view(num_samples, num_heads * channels, num_queries).transpose(1, 2).contiguous()


class MultiScaleDeformableAttention(BaseModule):
    """Attention to a few points of several maps.

    Args:
        embed_dims: Channels.
        num_heads: H.
        num_levels: Maps.
        num_points: P of each.
        im2col_step: Not used.
        dropout: Of the result.
        batch_first: Whether queries are ``(N, Q, C)``; ``(Q, N, C)`` otherwise.
        norm_cfg: Not used.
        init_cfg: How weights are initialized.
        value_proj_ratio: Channels of the values over those of the queries.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        im2col_step: int = 64,
        dropout: float = 0.1,
        batch_first: bool = False,
        norm_cfg: Any = None,
        init_cfg: Any = None,
        value_proj_ratio: float = 1.0,
    ) -> None:
        super().__init__(init_cfg)
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} must be a multiple of num_heads={num_heads}')
        self.embed_dims, self.num_heads = embed_dims, num_heads
        self.num_levels, self.num_points = num_levels, num_points
        self.im2col_step, self.batch_first = im2col_step, batch_first
        self.dropout = nn.Dropout(dropout)
        width = int(embed_dims * value_proj_ratio)
        self.sampling_offsets = nn.Linear(embed_dims, num_heads * num_levels * num_points * 2)
        self.attention_weights = nn.Linear(embed_dims, num_heads * num_levels * num_points)
        self.value_proj = nn.Linear(embed_dims, width)
        self.output_proj = nn.Linear(width, embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Points in a ring around each query, all of equal weight."""
        constant_init(self.sampling_offsets, 0.0)
        angles = torch.arange(self.num_heads, dtype=torch.float32) * (2.0 * math.pi / self.num_heads)
        ring_h2 = torch.stack([angles.cos(), angles.sin()], -1)
        ring_h2 = ring_h2 / ring_h2.abs().max(-1, keepdim=True)[0]
        steps = torch.arange(1, self.num_points + 1, dtype=torch.float32)
        ring = ring_h2.view(self.num_heads, 1, 1, 2) * steps[:, None]
        self.sampling_offsets.bias.data = ring.expand(-1, self.num_levels, -1, -1).reshape(-1)
        constant_init(self.attention_weights, val=0.0, bias=0.0)
        xavier_init(self.value_proj, distribution='uniform', bias=0.0)
        xavier_init(self.output_proj, distribution='uniform', bias=0.0)
        self._is_init = True

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        reference_points: Tensor | None = None,
        spatial_shapes: Tensor | None = None,
        level_start_index: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Queries with what they see added.

        Args:
            query: ``(Q, N, C)``.
            key: Not used.
            value: ``(L, N, C)``; the queries if None.
            identity: What the result is added to; the queries if None.
            query_pos: Added to the queries.
            key_padding_mask: ``(N, L)``, True where values do not count.
            reference_points: ``(N, Q, maps, 2)``, or ``(..., 4)`` with sizes, in 0 ... 1.
            spatial_shapes: Height and width of each map, ``(maps, 2)``.
            level_start_index: Not used: it follows from the sizes.
            kwargs: Not used.
        """
        if reference_points is None or spatial_shapes is None:
            raise ValueError('MultiScaleDeformableAttention needs reference_points and spatial_shapes')
        value = query if value is None else value
        identity = query if identity is None else identity
        query = query if query_pos is None else query + query_pos
        if not self.batch_first:
            query, value = query.transpose(0, 1), value.transpose(0, 1)
        value = self.value_proj(value)
        if key_padding_mask is not None:
            value = value.masked_fill(key_padding_mask[..., None], 0.0)
        shape = (*query.shape[:2], self.num_heads, self.num_levels, self.num_points)
        offsets = self.sampling_offsets(query).view(*shape, 2)
        weights = self.attention_weights(query).view(*shape[:3], -1).softmax(-1).view(shape)
        places = reference_points[:, :, None, :, None, :2]
        if reference_points.shape[-1] == 2:
            sizes = spatial_shapes.flip(-1).to(offsets.dtype)
            places = places + offsets / sizes[None, None, None, :, None]
        else:
            places = places + offsets / self.num_points * reference_points[:, :, None, :, None, 2:] * 0.5
        value_nlhc = value.unflatten(2, (self.num_heads, -1))
        output = self.output_proj(multi_scale_deformable_attn_pytorch(value_nlhc, spatial_shapes, places, weights))
        output = output if self.batch_first else output.transpose(0, 1)
        return self.dropout(output) + identity


class DeformConv2d(nn.Module):
    """A deformable convolution, from ``torchvision.ops`` where that is installed.

    Args:
        args: Arguments of ``torchvision.ops.DeformConv2d``.
        kwargs: The same.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """The layer of torchvision, which is called with the map and its offsets."""
        try:
            from torchvision import ops
        except ImportError as error:
            raise ImportError('deformable convolutions need torchvision: pip install torchvision') from error
        for name in ('deform_groups', 'im2col_step'):
            kwargs.pop(name, None)
        return ops.DeformConv2d(*args, **{'bias': False, **kwargs})


class ModulatedDeformConv2d(DeformConv2d):
    """The same, called with the map, its offsets and a mask."""


def get_onnxruntime_op_path() -> str:
    """Nothing: no operators are compiled."""
    warnings.warn('there are no compiled operators; torch.onnx exports every model of this package', stacklevel=2)
    return ''
