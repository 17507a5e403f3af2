"""Which classes an image shows decides which channels count.

Shapes: n images, c channels, k classes or codewords, h rows, w columns, l pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS, MODELS
from intarsia.models.stage_input import Features
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import MakeConv, convs_of

SE_LOSS: Mapping[str, Any] = {'type': 'segmentation.CrossEntropyLoss', 'use_sigmoid': True, 'loss_weight': 0.2}


class Encoding(nn.Module):
    """Mean residuals of pixels to learned codewords, weighted by how near these are.

    "Deep TEN: Texture Encoding Network" (Zhang et al., 2017, arXiv:1612.02844).

    Args:
        channels: Channels C of the map.
        num_codes: Number of codewords K.
    """

    def __init__(self, channels: int, num_codes: int) -> None:
        super().__init__()
        bound = (num_codes * channels) ** -0.5
        self.codewords = nn.Parameter(torch.empty(num_codes, channels).uniform_(-bound, bound))
        self.scale = nn.Parameter(torch.empty(num_codes).uniform_(-1, 0))

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, K, C)``."""
        x_nlc = x_nchw.flatten(2).transpose(1, 2)
        # |x - c|^2 and the sum of w (x - c), multiplied out: a tensor of all pixels times codewords would be large.
        distance_nlk = x_nlc.square().sum(2, keepdim=True) - 2 * x_nlc @ self.codewords.T
        distance_nlk = distance_nlk + self.codewords.square().sum(1)
        weight_nkl = (self.scale * distance_nlk).softmax(2).transpose(1, 2)
        return weight_nkl @ x_nlc - weight_nkl.sum(2, keepdim=True) * self.codewords


class EncModule(nn.Module):
    """Amplifies the channels of a map by what its encoding says.

    Args:
        channels: Channels C of the map.
        num_codes: Number of codewords.
        norm_cfg: Config of the normalization of codewords; that of maps becomes the one of signals.
        conv: Makes the convolutions.
    """

    def __init__(self, channels: int, num_codes: int, norm_cfg: Mapping[str, Any] | None, conv: MakeConv) -> None:
        super().__init__()
        of_signals = {'BN': 'BN1d', 'BN2d': 'BN1d', 'IN': 'IN1d', 'IN2d': 'IN1d'}
        cfg = dict(norm_cfg or {'type': 'BN1d'})
        cfg['type'] = of_signals.get(cfg['type'], cfg['type'])
        self.encoding_project = conv(channels, channels)
        self.encoding = nn.Sequential(
            Encoding(channels, num_codes), build_norm_layer(cfg, num_codes)[1], nn.ReLU(inplace=True)
        )
        self.fc = nn.Sequential(nn.Linear(channels, channels), nn.Sigmoid())

    def forward(self, x_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """The encoding ``(N, C)`` and the amplified map ``(N, C, H, W)``."""
        code_nc = self.encoding(self.encoding_project(x_nchw)).mean(1)
        return code_nc, F.relu(x_nchw * (1 + self.fc(code_nc)[:, :, None, None]))


@HEADS.register_module()
class EncHead(BaseDecodeHead):
    """The encoding of the image amplifies channels; in training it must also tell which classes are there.

    "Context Encoding for Semantic Segmentation" (Zhang et al., 2018, arXiv:1803.08904).

    Args:
        num_codes: Number of codewords.
        use_se_loss: Whether to predict the classes of the image, loss ``loss_se``.
        add_lateral: Whether earlier stages join the last one.
        loss_se_decode: Node of LOSSES for that, called with logits ``(N, K)`` and 0 or 1.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``in_channels`` and
            ``in_index`` are lists.
    """

    def __init__(
        self,
        num_codes: int = 32,
        use_se_loss: bool = True,
        add_lateral: bool = False,
        loss_se_decode: Mapping[str, Any] = SE_LOSS,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        conv, (*lower, top) = convs_of(self), self.in_channels
        self.use_se_loss, self.add_lateral = use_se_loss, add_lateral
        self.bottleneck = conv(top, self.channels, 3)
        if add_lateral:
            self.lateral_convs = nn.ModuleList(conv(channels, self.channels) for channels in lower)
            self.fusion = conv(len(self.in_channels) * self.channels, self.channels, 3)
        self.enc_module = EncModule(self.channels, num_codes, self.norm_cfg, conv)
        if use_se_loss:
            self.loss_se_decode = MODELS.of('segmentation').build(loss_se_decode)
            self.se_layer = nn.Linear(self.channels, self.num_classes)

    def _encode(self, feats: Features) -> tuple[Tensor, Tensor]:
        *lower, top = self._transform_inputs(feats)
        x_nchw = self.bottleneck(top)
        if self.add_lateral:
            stages = (lateral(stage) for lateral, stage in zip(self.lateral_convs, lower, strict=True))
            size, corners = x_nchw.shape[2:], self.align_corners
            resized = (resize(stage, size, mode='bilinear', align_corners=corners) for stage in stages)
            x_nchw = self.fusion(torch.cat([x_nchw, *resized], 1))
        return self.enc_module(x_nchw)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        return self.cls_seg(self._encode(feats)[1])

    def outputs(self, feats: Features) -> tuple[Tensor, ...]:
        """Logits ``(N, K, h, w)`` of pixels, and with ``use_se_loss`` ``(N, K)`` of the image."""
        code_nc, x_nchw = self._encode(feats)
        logits = self.cls_seg(x_nchw)
        return (logits, self.se_layer(code_nc)) if self.use_se_loss else (logits,)

    def loss(self, feats: Features, target_n1hw: Tensor) -> dict[str, Tensor]:
        """Losses of the pixels, and ``loss_se``, that of the image."""
        logits, *of_image = self.outputs(feats)
        losses = self.losses(logits, target_n1hw)
        for logits_nk in of_image:
            losses['loss_se'] = self.loss_se_decode(logits_nk, classes_shown(target_n1hw, self.num_classes))
        return losses


def classes_shown(target_n1hw: Tensor, num_classes: int) -> Tensor:
    """Whether each class is in each image: 0 or 1, float32 ``(N, K)``. Labels that are no classes are passed over."""
    label_nl = target_n1hw.flatten(1).long()
    label_nl = torch.where((label_nl >= 0) & (label_nl < num_classes), label_nl, num_classes)
    shown = torch.zeros(len(label_nl), num_classes + 1, device=label_nl.device)
    return shown.scatter_(1, label_nl, 1.0)[:, :num_classes]
