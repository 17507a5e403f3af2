"""The three heads of PIDNet.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead, call_loss
from intarsia.tasks.segmentation.losses.accuracy import accuracy

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}
IS_BORDER = 0.8
"""Probability from which on the joined map also answers for a pixel as one of a border."""


class BasePIDHead(BaseModule):
    """A convolution with normalization and activation on both sides.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
    ) -> None:
        super().__init__()
        order = ('norm', 'act', 'conv')
        self.conv = ConvModule(in_channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg, order=order)
        self.norm = build_norm_layer(norm_cfg, channels)[1]
        self.act = build_activation_layer(act_cfg)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, channels, H, W)``."""
        return self.act(self.norm(self.conv(x_nchw)))


@HEADS.register_module()
class PIDHead(BaseDecodeHead):
    """Classes from the joined map; in training also from the map of detail, and borders from theirs.

    "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers" (Xu et al., 2022,
    arXiv:2206.02066).

    State keys: ``i_head``, ``conv_seg``, ``p_head``, ``p_cls_seg``, ``d_head``, ``d_cls_seg``.

    Args:
        in_channels: Channels of the joined map; the others have half of them.
        channels: Channels before the last convolution.
        num_classes: Number of classes.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        in_index: Which of the maps is the joined one.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``loss_decode`` has
            four losses: of the map of detail, of the joined map, of borders, and of the joined map at borders.
    """

    more_targets: ClassVar[Sequence[str]] = ('gt_edge_map',)
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
        in_index: int = 1,
        init_cfg: InitCfg = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels, channels, num_classes=num_classes, norm_cfg=norm_cfg, act_cfg=act_cfg, in_index=in_index,
            init_cfg=init_cfg, **kwargs,
        )  # fmt: skip
        half, quarter = in_channels // 2, in_channels // 4
        self.i_head = BasePIDHead(in_channels, channels, norm_cfg, act_cfg)
        self.p_head = BasePIDHead(half, channels, norm_cfg, act_cfg)
        self.d_head = BasePIDHead(half, quarter, norm_cfg)
        self.p_cls_seg = nn.Conv2d(channels, self.out_channels, 1)
        self.d_cls_seg = nn.Conv2d(quarter, 1, 1)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the joined map."""
        return self.cls_seg(self.i_head(self._transform_inputs(feats)))

    def loss(  # type: ignore[override]
        self, feats: Features, target_n1hw: Tensor, gt_edge_map: Tensor
    ) -> dict[str, Tensor]:
        """Losses by name, and ``acc_seg``.

        Args:
            feats: Maps of detail, of all branches and of borders.
            target_n1hw: Labels, integers.
            gt_edge_map: 1 at borders, 0 elsewhere, other values where that does not count: ``(N, 1, H, W)``.
        """
        of_detail, of_joined, of_border, of_joined_at_border = self.loss_decode
        target_nhw = target_n1hw.squeeze(1).long()
        detail_nkhw = self._at_size(self.p_cls_seg(self.p_head(feats[0])), target_n1hw)
        joined_nkhw = self._at_size(self(feats), target_n1hw)
        border_n1hw = self._at_size(self.d_cls_seg(self.d_head(feats[2])), gt_edge_map)
        ignored = torch.full_like(target_nhw, 255 if self.ignore_index is None else self.ignore_index)
        at_border_nhw = torch.where(border_n1hw[:, 0].sigmoid() > IS_BORDER, target_nhw, ignored)
        return {
            'loss_sem_p': call_loss(of_detail, detail_nkhw, target_nhw, None, self.ignore_index),
            'loss_sem_i': of_joined(joined_nkhw, target_nhw),
            'loss_bd': of_border(border_n1hw, gt_edge_map.squeeze(1)),
            'loss_sem_bd': of_joined_at_border(joined_nkhw, at_border_nhw),
            'acc_seg': accuracy(joined_nkhw, target_nhw, ignore_index=self.ignore_index),
        }

    def _at_size(self, logits_nkhw: Tensor, target_n1hw: Tensor) -> Tensor:
        size = target_n1hw.shape[2:]
        return resize(logits_nkhw.float(), size=size, mode='bilinear', align_corners=self.align_corners)
