"""The two heads of DDRNet.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.losses.accuracy import accuracy

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}


@HEADS.register_module()
class DDRHead(BaseDecodeHead):
    """A convolution of the joined map, and in training one of the early map as well.

    "Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road Scenes" (Hong et al., 2021,
    arXiv:2101.06085).

    State keys: ``head``, ``conv_seg``, ``aux_head``, ``aux_cls_seg``.

    Args:
        in_channels: Channels of the joined map; the early one has half of them.
        channels: Channels before the last convolution.
        num_classes: Number of classes.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``loss_decode`` has two
            losses, of the joined and of the early map.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': '_BatchNorm'},
    )

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_classes: int,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        init_cfg: InitCfg = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels, channels, num_classes=num_classes, norm_cfg=norm_cfg, act_cfg=act_cfg, init_cfg=init_cfg,
            **kwargs,
        )  # fmt: skip
        self.head = _base_head(in_channels, channels, norm_cfg, act_cfg)
        self.aux_head = _base_head(in_channels // 2, channels, norm_cfg, act_cfg)
        self.aux_cls_seg = nn.Conv2d(channels, self.out_channels, 1)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the joined map."""
        return self.cls_seg(self.head(self._transform_inputs(feats)))

    def loss(self, feats: Features, target_n1hw: Tensor) -> dict[str, Tensor]:
        """``loss_context`` of the joined map, ``loss_spatial`` of the early one, and ``acc_seg``."""
        of_context, of_spatial = self.loss_decode
        target_nhw = target_n1hw.squeeze(1).long()
        context_nkhw = self._at_size(self(feats), target_nhw)
        spatial_nkhw = self._at_size(self.aux_cls_seg(self.aux_head(feats[0])), target_nhw)
        return {
            'loss_context': of_context(context_nkhw, target_nhw),
            'loss_spatial': of_spatial(spatial_nkhw, target_nhw),
            'acc_seg': accuracy(context_nkhw, target_nhw, ignore_index=self.ignore_index),
        }

    def _at_size(self, logits_nkhw: Tensor, target_nhw: Tensor) -> Tensor:
        size = target_nhw.shape[1:]
        return resize(logits_nkhw.float(), size=size, mode='bilinear', align_corners=self.align_corners)


def _base_head(
    in_channels: int, channels: int, norm_cfg: Mapping[str, Any], act_cfg: Mapping[str, Any]
) -> nn.Sequential:
    order = ('norm', 'act', 'conv')
    conv = ConvModule(in_channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg, order=order)
    return nn.Sequential(conv, build_norm_layer(norm_cfg, channels)[1], build_activation_layer(act_cfg))
