"""Attention between places and between channels.

Shapes: n images, c channels, k classes, h rows, w columns, l pixels.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.scale import Scale
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of
from intarsia.tasks.segmentation.heads.self_attention import MapAttention


class PositionAttention(MapAttention):
    """Adds to every pixel what it gathers from similar ones; starts as the identity.

    Args:
        in_channels: Channels of the map.
        channels: Channels of queries and keys.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(
            query_project=nn.Conv2d(in_channels, channels, 1),
            key_project=nn.Conv2d(in_channels, channels, 1),
            value_project=nn.Conv2d(in_channels, in_channels, 1),
            matmul_norm=False,
        )
        self.gamma = Scale(0)

    def forward(self, x_nchw: Tensor) -> Tensor:  # type: ignore[override]
        """``(N, C, H, W)`` in and out."""
        return x_nchw + self.gamma(super().forward(x_nchw, x_nchw))


class ChannelAttention(nn.Module):
    """Adds to every channel a mixture of those that differ from it; starts as the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = Scale(0)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        x_ncl = x_nchw.flatten(2)
        likeness_ncc = x_ncl @ x_ncl.transpose(1, 2)
        weight_ncc = (likeness_ncc.amax(2, keepdim=True) - likeness_ncc).softmax(2)
        return x_nchw + self.gamma((weight_ncc @ x_ncl).view_as(x_nchw))


@HEADS.register_module()
class DAHead(BaseDecodeHead):
    """Two branches, one with attention between places and one between channels; the sum is classified.

    "Dual Attention Network for Scene Segmentation" (Fu et al., 2019, arXiv:1809.02983). In training each branch is
    classified too: losses ``pam_cam.loss_ce``, ``pam.loss_ce``, ``cam.loss_ce``.

    Args:
        pam_channels: Channels of queries and keys of the attention between places.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.
    """

    def __init__(self, pam_channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        conv, width = convs_of(self), self.channels
        self.pam_in_conv = conv(self.in_channels, width, 3)
        self.pam = PositionAttention(width, pam_channels)
        self.pam_out_conv = conv(width, width, 3)
        self.pam_conv_seg = nn.Conv2d(width, self.out_channels, 1)
        self.cam_in_conv = conv(self.in_channels, width, 3)
        self.cam = ChannelAttention()
        self.cam_out_conv = conv(width, width, 3)
        self.cam_conv_seg = nn.Conv2d(width, self.out_channels, 1)

    def _branches(self, feats: Features) -> tuple[Tensor, Tensor]:
        x_nchw = self._transform_inputs(feats)
        of_places = self.pam_out_conv(self.pam(self.pam_in_conv(x_nchw)))
        of_channels = self.cam_out_conv(self.cam(self.cam_in_conv(x_nchw)))
        return of_places, of_channels

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        of_places, of_channels = self._branches(feats)
        return self.cls_seg(of_places + of_channels)

    def outputs(self, feats: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the sum, of the branch of places, and of the branch of channels."""
        of_places, of_channels = self._branches(feats)
        drop = self.dropout or nn.Identity()
        return (
            self.cls_seg(of_places + of_channels),
            self.pam_conv_seg(drop(of_places)),
            self.cam_conv_seg(drop(of_channels)),
        )

    def loss(self, feats: Features, target_n1hw: Tensor) -> dict[str, Tensor]:
        """Losses and accuracies of the sum and of both branches."""
        names = ('pam_cam', 'pam', 'cam')
        losses = {
            name: self.losses(logits, target_n1hw) for name, logits in zip(names, self.outputs(feats), strict=True)
        }
        return {f'{name}.{key}': value for name, each in losses.items() for key, value in each.items()}
