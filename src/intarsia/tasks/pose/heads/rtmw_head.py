"""RTMW: RTMPose for the whole body, from two stages.

Shapes: n people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.conv_module import ConvModule
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.rtmcc_head import GAU, GatedAttentionHead, squeeze

BN = dict(type='BN', requires_grad=True)


@HEADS.register_module()
class RTMWHead(GatedAttentionHead):
    """Half of each joint's token comes from the last stage, half from a finer one: hands and faces are small.

    "RTMW: Real-Time Multi-Person 2D and 3D Whole-body Pose Estimation" (Jiang et al., 2024, arXiv:2407.08634). The
    last stage, its pixels shuffled to twice the size, is joined to the finer one, which has half as many channels.

    Args:
        in_channels: Channels of the last stage.
        out_channels: K.
        input_size: Width and height of the input; the codec's if None.
        in_featuremap_size: Width and height of the last stage; a 32nd of the input's if None.
        simcc_split_ratio: Bins in a pixel; the codec's if None.
        final_layer_kernel_size: Kernel of the convolutions, odd.
        gau_cfg: ``hidden_dims``: channels of a token; and arguments of
            :class:`~intarsia.tasks.pose.heads.gated_attention.RTMCCBlock`.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The codec says something else, or ``gau_cfg`` has words that mean nothing.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: Sequence[int] | None = None,
        in_featuremap_size: Sequence[int] | None = None,
        simcc_split_ratio: float | None = None,
        final_layer_kernel_size: int = 1,
        gau_cfg: Mapping[str, Any] = GAU,
        loss: Mapping[str, Any] | None = dict(type='pose.KLDiscretLoss', use_target_weight=True),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            out_channels, gau_cfg, input_size, in_featuremap_size, simcc_split_ratio, loss, codec, init_cfg
        )
        self.in_channels = in_channels
        kernel, quarter = final_layer_kernel_size, in_channels // 4
        around: dict[str, Any] = dict(kernel_size=kernel, padding=kernel // 2, norm_cfg=BN)
        self.ps = nn.PixelShuffle(2)
        self.conv_dec = ConvModule(quarter, quarter, **around)
        self.final_layer = ConvModule(in_channels, out_channels, **around)
        self.final_layer2 = ConvModule(in_channels // 2 + quarter, out_channels, **around)
        self.mlp = squeeze(self.num_places, self.hidden_dims // 2)
        self.mlp2 = squeeze(self.num_places * 4, self.hidden_dims // 2)

    def tokens_of(self, feats: Features) -> Tensor:
        """A vector for each joint, ``(N, K, hidden_dims)``, from the last two stages."""
        fine_nchw, last_nchw = feats[-2:]
        coarse_nkc = self.mlp(self.final_layer(last_nchw).flatten(2))
        both_nchw = torch.cat([self.conv_dec(self.ps(last_nchw)), fine_nchw], 1)
        fine_nkc = self.mlp2(self.final_layer2(both_nchw).flatten(2))
        return torch.cat([coarse_nkc, fine_nkc], 2)
