"""Where classes meet.

Shapes: n images, k classes, h rows, w columns.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS
from intarsia.tasks.segmentation.heads.fcn_head import FCNHead


@HEADS.register_module()
class STDCHead(FCNHead):
    """As :class:`~intarsia.tasks.segmentation.heads.fcn_head.FCNHead`, trained to find the borders of classes.

    "Rethinking BiSeNet For Real-time Semantic Segmentation" (Fan et al., 2021, arXiv:2104.13188).

    State keys: also ``laplacian_kernel``, ``fusion_kernel``, which are not trained.

    Args:
        boundary_threshold: A pixel whose weighted votes of three resolutions are more than this is a border.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.heads.fcn_head.FCNHead`.
    """

    OWN_CLASSES: ClassVar[bool] = True
    """Its classes are not those of the data: border or not."""

    def __init__(self, boundary_threshold: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.boundary_threshold = boundary_threshold
        kernel = torch.tensor([[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]])
        self.register_buffer('laplacian_kernel', kernel[None, None])
        self.laplacian_kernel: Tensor
        weights = torch.tensor([0.6, 0.3, 0.1]).reshape(1, 3, 1, 1)
        self.fusion_kernel = nn.Parameter(weights, requires_grad=False)

    def losses(self, seg_logit: Tensor, seg_label: Tensor) -> dict[str, Tensor]:
        """Losses by name of logits ``(N, 2, h, w)`` and labels ``(N, 1, H, W)``, which become borders and others."""
        return super().losses(seg_logit, self.borders(seg_label))

    def borders(self, label_n1hw: Tensor) -> Tensor:
        """Whether a pixel is a border of labels: 1 or 0, int64 ``(N, 1, H, W)``."""
        label_n1hw = label_n1hw.to(self.laplacian_kernel)
        size = label_n1hw.shape[2:]
        votes = []
        for stride in (1, 2, 4):
            edge_n1hw = F.conv2d(label_n1hw, self.laplacian_kernel, stride=stride, padding=1)
            is_border_n1hw = (edge_n1hw > self.boundary_threshold).to(edge_n1hw.dtype)
            votes.append(F.interpolate(is_border_n1hw, size, mode='nearest'))
        return (F.conv2d(torch.cat(votes, 1), self.fusion_kernel) > self.boundary_threshold).long()
