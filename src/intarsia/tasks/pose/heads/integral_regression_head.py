"""Coordinates as the mean place of heat maps.

Shapes: n people, k joints, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec, Keypoints
from intarsia.tasks.pose.codecs.flip import flip_heatmaps
from intarsia.tasks.pose.heads.agreement import STRIDE, agreed
from intarsia.tasks.pose.heads.heatmap_head import HeatmapHead, last_conv
from intarsia.tasks.pose.heads.regression_head import CoordinateHead

CoordinatesAndMaps = tuple[Tensor, Tensor]
"""``(N, K, 2)`` as parts of the input's width and height, and maps ``(N, K, h, w)``, each of which adds up to 1."""


@HEADS.register_module()
class IntegralRegressionHead(CoordinateHead):
    """Heat maps become probabilities, and their mean place the joint; the loss is that of the coordinates.

    "Integral Human Pose Regression" (Sun et al., 2017, arXiv:1711.08229).

    Args:
        in_channels: Channels of the last stage.
        in_featuremap_size: Width and height of the last stage; by the codec's maps, or a 32nd of the input, if None.
        num_joints: K.
        debias: Take out the pull towards the upper left corner that the many small values of a map have ("Removing the
            Bias of Integral Pose Regression", Gu et al., 2021).
        beta: Inverse temperature of the probabilities.
        deconv_out_channels: Channels of the transposed convolutions, each of which doubles the size; none if empty.
        deconv_kernel_sizes: Their kernels: 2, 3 or 4.
        conv_out_channels: Channels of convolutions after them.
        conv_kernel_sizes: Their kernels.
        final_layer: ``kernel_size`` and other arguments of the last convolution; None leaves it out.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The codec says something else, or lists differ in length.
    """

    loss_attribute = 'loss_module'
    default_init = (dict(type='Normal', layer='Linear', std=0.01, bias=0),)
    linspace_x: Tensor
    linspace_y: Tensor

    def __init__(
        self,
        in_channels: int,
        in_featuremap_size: Sequence[int] | None = None,
        num_joints: int = 17,
        debias: bool = False,
        beta: float = 1.0,
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = dict(kernel_size=1),
        loss: Mapping[str, Any] | None = dict(type='pose.SmoothL1Loss', use_target_weight=True),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(loss, codec, init_cfg)
        self.in_channels, self.num_joints, self.out_channels = in_channels, num_joints, num_joints
        self.debias, self.beta = debias, beta
        self.simplebaseline_head: nn.Module | None = None
        if deconv_out_channels:
            self.simplebaseline_head = HeatmapHead(
                in_channels, num_joints, deconv_out_channels, deconv_kernel_sizes, conv_out_channels,
                conv_kernel_sizes, final_layer, loss=None,
            )  # fmt: skip
        else:
            self.final_layer = last_conv(in_channels, num_joints, final_layer)
        width, height = self._heatmap_size(in_featuremap_size, 2 ** len(deconv_out_channels or ()))
        self.register_buffer('linspace_x', (torch.arange(float(width)) / width).reshape(1, 1, 1, -1))
        self.register_buffer('linspace_y', (torch.arange(float(height)) / height).reshape(1, 1, -1, 1))

    def _heatmap_size(self, in_featuremap_size: Sequence[int] | None, scale: int) -> tuple[int, int]:
        given = in_featuremap_size and tuple(length * scale for length in in_featuremap_size)
        known = getattr(self.codec, 'heatmap_size', None)
        if known is None and given is None and self.codec is not None:
            given = tuple(length // STRIDE * scale for length in self.codec.input_size)
        return agreed(type(self).__name__, 'the size of the heat maps', given, self.codec, known)

    def forward(self, feats: Features) -> CoordinatesAndMaps:
        """Coordinates and maps from the last stage."""
        head = self.simplebaseline_head
        logit_nkhw = self.final_layer(feats[-1]) if head is None else head(feats)
        heatmap_nkhw = (logit_nkhw * self.beta).flatten(2).softmax(-1).reshape(logit_nkhw.shape)
        axes = (self.linspace_x, self.linspace_y)
        xy_nk2 = torch.stack([(heatmap_nkhw * axis).sum((2, 3)) for axis in axes], -1)
        if self.debias:
            total_nk1 = logit_nkhw.flatten(2).exp().sum(-1, keepdim=True)
            xy_nk2 = total_nk1 / (total_nk1 - 1) * (xy_nk2 - 1 / (2 * total_nk1))
        return xy_nk2, heatmap_nkhw

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """The loss of the coordinates, and ``acc_pose``.

        Args:
            feats: Stages of the backbone or neck.
            targets: ``target`` (N, K, 2), ``target_weight`` (N, K, 2).
        """
        xy_nk2, _ = self(feats)
        target, target_weight = targets['target'], targets['target_weight']
        return {
            **self.get_loss(xy_nk2, target, target_weight),
            **self.get_accuracy(xy_nk2, target, target_weight),
        }

    def flip_back(  # type: ignore[override]
        self, output: CoordinatesAndMaps, flip_index: Sequence[int]
    ) -> CoordinatesAndMaps:
        """Coordinates and maps of mirrored images, mirrored."""
        xy_nk2, heatmap_nkhw = output
        shift = bool(self.test_cfg.get('shift_heatmap', False))
        return super().flip_back(xy_nk2, flip_index), flip_heatmaps(heatmap_nkhw, flip_index, shift)

    def decode(self, output: CoordinatesAndMaps) -> Keypoints:
        """Joints and scores from the coordinates."""
        return super().decode(output[0])
