"""Coordinates from a linear layer.

Shapes: n people, k joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec, Keypoints
from intarsia.tasks.pose.codecs.flip import flip_coordinates
from intarsia.tasks.pose.heads.pose_head import PoseHead
from intarsia.tasks.pose.metrics.training_accuracy import near_parts

REACH = 0.05
"""A joint is where it should be if it is off by less than this part of the input's width or height."""


class CoordinateHead(PoseHead):
    """What heads have in common whose output begins with x and y, as parts of the input's width and height."""

    shift_key: ClassVar[str] = 'shift_coords'
    """Where ``test_cfg`` says whether joints in mirrored images are shifted by one pixel of the input."""
    shifts_by_default: ClassVar[bool] = True

    def get_accuracy(self, output: Tensor, target: Tensor, target_weight: Tensor) -> dict[str, Tensor]:
        """The part of joints that are less than a twentieth of the input away from where they should be."""
        distance_nk = (output[..., :2].detach() - target).norm(dim=-1)
        return {'acc_pose': near_parts(distance_nk, target_weight[..., 0] > 0, REACH)[1]}

    def flip_back(self, output: Tensor, flip_index: Sequence[int]) -> Tensor:
        """Coordinates ``(N, K, 2)`` or more of mirrored images, mirrored.

        Raises:
            RuntimeError: They are to be shifted by a pixel, but the size of the input is not known.
        """
        shift = bool(self.test_cfg.get(self.shift_key, self.shifts_by_default))
        if shift and self.codec is None:
            raise RuntimeError(
                f'{type(self).__name__}: test_cfg.{self.shift_key} needs the size of the input: give the model '
                "codec=dict(type='RegressionLabel', input_size=(192, 256))"
            )
        return flip_coordinates(output, flip_index, shift, self.codec.input_size[0] if self.codec else 1)


class LinearCoordinateHead(CoordinateHead):
    """One linear layer: x and y of each joint, and with ``num_values=4`` logits of their deviations.

    Args:
        in_channels: Channels of the feature.
        num_joints: K.
        num_values: 2, or 4.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.
    """

    default_init = (dict(type='Normal', layer='Linear', std=0.01, bias=0),)

    def __init__(
        self,
        in_channels: int,
        num_joints: int,
        num_values: int,
        loss: Mapping[str, Any] | None,
        codec: Codec | Mapping[str, Any] | None,
        init_cfg: Any,
    ) -> None:
        super().__init__(loss, codec, init_cfg)
        self.in_channels, self.num_joints, self.out_channels = in_channels, num_joints, num_joints
        self.fc = nn.Linear(in_channels, num_joints * num_values)

    def forward(self, feats: Features) -> Tensor:
        """Coordinates ``(N, K, 2)``, or with logits of their deviations ``(N, K, 4)``, from the last feature."""
        return self.fc(feats[-1].flatten(1)).unflatten(1, (self.num_joints, -1))

    def mean(self, first: Tensor, second: Tensor) -> Tensor:
        """The mean of coordinates, and of deviations, not of their logits."""
        mean_nkd = (with_deviations(first) + with_deviations(second)) / 2
        return torch.cat([mean_nkd[..., :2], mean_nkd[..., 2:].logit()], -1)

    def decode(self, output: Tensor) -> Keypoints:
        """Joints and scores; a score is 1 less the mean deviation."""
        return super().decode(with_deviations(output))


@HEADS.register_module()
class DeepposeRegressionHead(LinearCoordinateHead):
    """x and y from a linear layer.

    "DeepPose: Human Pose Estimation via Deep Neural Networks" (Toshev and Szegedy, 2014, arXiv:1312.4659).

    Args:
        in_channels: Channels of the feature.
        num_joints: K.
        loss_keypoint: Node of LOSSES.
        out_sigma: Give how far a joint may be off, too, for :class:`~intarsia.tasks.pose.losses.rle.RLELoss`.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.
    """

    loss_key = 'reg_loss'
    shift_key = 'regression_flip_shift'
    shifts_by_default = False

    def __init__(
        self,
        in_channels: int,
        num_joints: int,
        loss_keypoint: Mapping[str, Any] | None = None,
        out_sigma: bool = False,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(in_channels, num_joints, 4 if out_sigma else 2, loss_keypoint, codec, init_cfg)
        self.out_sigma = out_sigma


@HEADS.register_module()
class RegressionHead(LinearCoordinateHead):
    """x and y from a linear layer; see :class:`DeepposeRegressionHead`.

    Args:
        in_channels: Channels of the feature.
        num_joints: K.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.
    """

    loss_attribute = 'loss_module'

    def __init__(
        self,
        in_channels: int,
        num_joints: int,
        loss: Mapping[str, Any] | None = dict(type='pose.SmoothL1Loss', use_target_weight=True),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(in_channels, num_joints, 2, loss, codec, init_cfg)


@HEADS.register_module()
class RLEHead(LinearCoordinateHead):
    """x and y, and how far each may be off.

    "Human Pose Regression with Residual Log-likelihood Estimation" (Li et al., 2021, arXiv:2107.11291).

    Args:
        in_channels: Channels of the feature.
        num_joints: K.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.
    """

    loss_attribute = 'loss_module'

    def __init__(
        self,
        in_channels: int,
        num_joints: int,
        loss: Mapping[str, Any] | None = dict(type='pose.RLELoss', use_target_weight=True),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(in_channels, num_joints, 4, loss, codec, init_cfg)


def with_deviations(output_nkd: Tensor) -> Tensor:
    """The outputs with deviations, 0 ... 1, in the place of their logits."""
    return torch.cat([output_nkd[..., :2], output_nkd[..., 2:].sigmoid()], -1)
