"""RTMW: RTMPose for the whole body, from two stages.

Shapes: n people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.conv_module import ConvModule
from intarsia.tasks.pose.heads.rtmcc_head import GatedAttentionHead, squeeze

BN = dict(type='BN', requires_grad=True)


@HEADS.register_module()
class RTMWHead(GatedAttentionHead):
    """Half of each joint's token comes from the last stage, half from a finer one: hands and faces are small.

    "RTMW: Real-Time Multi-Person 2D and 3D Whole-body Pose Estimation" (Jiang et al., 2024, arXiv:2407.08634). The
    last stage, its pixels shuffled to twice the size, is joined to the finer one, which has half as many channels.
    Arguments as :class:`~intarsia.tasks.pose.heads.rtmcc_head.GatedAttentionHead`.
    """

    def make_squeezing(self, kernel: int) -> None:
        """Convolutions for the maps of both stages, and a layer that squeezes each."""
        quarter = self.in_channels // 4
        around: dict[str, Any] = dict(kernel_size=kernel, padding=kernel // 2, norm_cfg=BN)
        self.ps = nn.PixelShuffle(2)
        self.conv_dec = ConvModule(quarter, quarter, **around)
        self.final_layer = ConvModule(self.in_channels, self.out_channels, **around)
        self.final_layer2 = ConvModule(self.in_channels // 2 + quarter, self.out_channels, **around)
        self.mlp = squeeze(self.num_places, self.hidden_dims // 2)
        self.mlp2 = squeeze(self.num_places * 4, self.hidden_dims // 2)

    def tokens_of(self, feats: Features) -> Tensor:
        """A vector for each joint, ``(N, K, hidden_dims)``, from the last two stages."""
        fine_nchw, last_nchw = feats[-2:]
        coarse_nkc = self.mlp(self.final_layer(last_nchw).flatten(2))
        both_nchw = torch.cat([self.conv_dec(self.ps(last_nchw)), fine_nchw], 1)
        fine_nkc = self.mlp2(self.final_layer2(both_nchw).flatten(2))
        return torch.cat([coarse_nkc, fine_nkc], 2)
