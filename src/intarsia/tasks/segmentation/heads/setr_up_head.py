"""Convolutions and upsampling in turns.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import Upsample
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of

LAYER_NORM = {'type': 'LN', 'eps': 1e-6, 'requires_grad': True}
NORMAL_INIT = (
    {'type': 'Constant', 'val': 1.0, 'bias': 0, 'layer': 'LayerNorm'},
    {'type': 'Normal', 'std': 0.01, 'override': {'name': 'conv_seg'}},
)


@HEADS.register_module()
class SETRUPHead(BaseDecodeHead):
    """The tokens of a vision transformer, normalized; then convolutions, each followed by upsampling.

    The naive (one step) and progressive (several) decoders of "Rethinking Semantic Segmentation from a
    Sequence-to-Sequence Perspective with Transformers" (SETR; Zheng et al., 2021, arXiv:2012.15840).

    Args:
        norm_layer: Config of the normalization of the tokens.
        num_convs: Number of convolutions.
        up_scale: By how much the map grows after each.
        kernel_size: Size of their kernels, 1 or 3.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`.

    Raises:
        ValueError: Another size of kernels.
    """

    def __init__(
        self,
        norm_layer: Mapping[str, Any] = LAYER_NORM,
        num_convs: int = 1,
        up_scale: int = 4,
        kernel_size: int = 3,
        init_cfg: Any = NORMAL_INIT,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg, **kwargs)
        if kernel_size not in (1, 3):
            raise ValueError(f'SETRUPHead: kernel_size is 1 or 3, not {kernel_size}')
        conv = convs_of(self)
        widths = [self.in_channels] + [self.channels] * (num_convs - 1)
        self.norm = build_norm_layer(norm_layer, self.in_channels)[1]
        self.up_convs = nn.ModuleList(
            nn.Sequential(
                conv(width, self.channels, kernel_size),
                Upsample(scale_factor=up_scale, mode='bilinear', align_corners=self.align_corners),
            )
            for width in widths
        )

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        x_nhwc = self._transform_inputs(feats).permute(0, 2, 3, 1)
        x_nchw = self.norm(x_nhwc).permute(0, 3, 1, 2).contiguous()
        for up_conv in self.up_convs:
            x_nchw = up_conv(x_nchw)
        return self.cls_seg(x_nchw)
