"""Heat maps of joints and middles of people, and from each pixel the way to the joints.

Shapes: n images, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from intarsia.core.registries import HEADS
from intarsia.models.parts import build_part
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.disentangled import heatmap_layers, init_of_layers, offset_layers
from intarsia.tasks.pose.heads.heatmap_head import TopdownHeatmapSimpleHead


@HEADS.register_module()
class DEKRHead(TopdownHeatmapSimpleHead):
    """Disentangled keypoint regression: each joint has layers of its own that find the way to it.

    "Bottom-Up Human Pose Estimation Via Disentangled Keypoint Regression" (Geng et al., 2021, arXiv:2104.02300).

    Args:
        in_channels: Channels of the stages.
        num_joints: K.
        num_heatmap_filters: Channels of the layers of heat maps.
        num_offset_filters_per_joint: Channels of the layers of each joint's way.
        in_index: Index of the stage, or of the stages.
        input_transform: What happens to several stages; see :mod:`intarsia.models.stage_input`.
        num_deconv_layers: Number of transposed convolutions, each of which doubles the size.
        num_deconv_filters: Their channels.
        num_deconv_kernels: Their kernels: 2, 3 or 4.
        extra: As of :class:`~intarsia.tasks.pose.heads.heatmap_head.TopdownHeatmapSimpleHead`.
        align_corners: How bilinear resizing places the pixels.
        heatmap_loss: Node of LOSSES.
        offset_loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Arguments do not fit each other.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_joints: int,
        num_heatmap_filters: int = 32,
        num_offset_filters_per_joint: int = 15,
        in_index: int | Sequence[int] = 0,
        input_transform: Literal['resize_concat', 'multiple_select'] | None = None,
        num_deconv_layers: int = 0,
        num_deconv_filters: Sequence[int] | None = None,
        num_deconv_kernels: Sequence[int] | None = None,
        extra: Mapping[str, Any] | None = dict(final_conv_kernel=0),
        align_corners: bool = False,
        heatmap_loss: Mapping[str, Any] | None = None,
        offset_loss: Mapping[str, Any] | None = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        width = in_channels if isinstance(in_channels, int) else sum(in_channels)
        super().__init__(
            in_channels,
            width,
            num_deconv_layers,
            num_deconv_filters or (),
            num_deconv_kernels or (),
            extra,
            in_index,
            input_transform,
            align_corners,
            heatmap_loss,
            codec,
            init_cfg,
        )
        width = num_deconv_filters[-1] if num_deconv_layers and num_deconv_filters else width
        self.num_joints = num_joints
        self.heatmap_conv_layers = heatmap_layers(width, num_heatmap_filters, num_joints)
        self.offset_conv_layers = offset_layers(width, num_offset_filters_per_joint, num_joints)
        self.offset_loss = build_part(offset_loss, 'pose')

    def init_own_weights(self) -> None:
        """Small weights everywhere, and squares of taps that begin unmoved."""
        init_of_layers(self.heatmap_conv_layers)
        init_of_layers(self.offset_conv_layers)

    def forward(self, feats: Features) -> Any:
        """Heat maps ``(N, 1 + K, h, w)``, the first one of middles, and ways ``(N, 2K, h, w)``, from joint to pixel."""
        x_nchw = super().forward(feats)
        return [[self.heatmap_conv_layers(x_nchw), self.offset_conv_layers(x_nchw)]]

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """``loss_hms`` and ``loss_ofs``, summed over scales.

        Args:
            feats: Stages of the backbone.
            targets: Lists with an entry for each scale: ``heatmaps``, ``masks``, their weights of pixels, ``offsets``
                and ``offset_weights``; or the tensor of the only scale.
        """
        scales = zip(
            self(feats), *(_listed(targets[k]) for k in ('heatmaps', 'masks', 'offsets', 'offset_weights')), strict=True
        )
        losses = [
            (self.criterion(maps, true_maps, mask), self.offset_loss(ways, true_ways, weight))
            for (maps, ways), true_maps, mask, true_ways, weight in scales
        ]
        return {'loss_hms': torch.stack([a for a, _ in losses]).sum(),
                'loss_ofs': torch.stack([b for _, b in losses]).sum()}  # fmt: skip


def _listed(value: Any) -> Sequence[Tensor]:
    return [value] if isinstance(value, Tensor) else value
