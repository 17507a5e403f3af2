"""Coordinates as the mean place of heat maps, which have a target of their own.

Shapes: n people, k joints, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.integral_regression_head import IntegralRegressionHead


@HEADS.register_module()
class DSNTHead(IntegralRegressionHead):
    """:class:`IntegralRegressionHead` with a second loss, which keeps each map narrow.

    "Numerical Coordinate Regression with Convolutional Neural Networks" (Nibali et al., 2018, arXiv:1801.07372).

    Args:
        in_channels: Channels of the last stage.
        in_featuremap_size: Width and height of the last stage; by the codec's maps, or a 32nd of the input, if None.
        num_joints: K.
        lambda_t: Only -1: the second loss stays to the end.
        debias: As in :class:`IntegralRegressionHead`.
        beta: Inverse temperature of the probabilities.
        deconv_out_channels: Channels of the transposed convolutions, each of which doubles the size; none if empty.
        deconv_kernel_sizes: Their kernels: 2, 3 or 4.
        conv_out_channels: Channels of convolutions after them.
        conv_kernel_sizes: Their kernels.
        final_layer: ``kernel_size`` and other arguments of the last convolution; None leaves it out.
        loss: Node of LOSSES that takes lists: of outputs, and of targets.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The codec says something else, lists differ in length, or ``lambda_t`` is an epoch.
    """

    def __init__(
        self,
        in_channels: int,
        in_featuremap_size: Sequence[int] | None = None,
        num_joints: int = 17,
        lambda_t: int = -1,
        debias: bool = False,
        beta: float = 1.0,
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = dict(kernel_size=1),
        loss: Mapping[str, Any] | None = dict(
            type='pose.MultipleLossWrapper',
            losses=[
                dict(type='SmoothL1Loss', use_target_weight=True),
                dict(type='JSDiscretLoss', use_target_weight=True),
            ],
        ),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            in_channels, in_featuremap_size, num_joints, debias, beta, deconv_out_channels, deconv_kernel_sizes,
            conv_out_channels, conv_kernel_sizes, final_layer, loss, codec, init_cfg,
        )  # fmt: skip
        if lambda_t > 0:
            raise ValueError(f'DSNTHead: lambda_t={lambda_t}, but the loss of the maps cannot end with an epoch here')

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """The sum of both losses, and ``acc_pose``.

        Args:
            feats: Stages of the backbone or neck.
            targets: ``target`` (N, K, 2), ``target_heatmap`` (N, K, h, w), ``target_weight`` (N, K, 2).
        """
        xy_nk2, heatmap_nkhw = self(feats)
        target, target_weight = targets['target'], targets['target_weight']
        losses = self.criterion([xy_nk2, heatmap_nkhw], [target, targets['target_heatmap']], target_weight[..., :1])
        return {self.loss_key: sum(losses), **self.get_accuracy(xy_nk2, target, target_weight)}
