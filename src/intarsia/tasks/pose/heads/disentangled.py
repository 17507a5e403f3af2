"""Parts of heads that say of each pixel how far the joints of the person there are away.

"Bottom-Up Human Pose Estimation Via Disentangled Keypoint Regression" (Geng et al., 2021, arXiv:2104.02300).

Shapes: n images, p people, k joints, s lines of the skeleton, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.models.backbones.residual import BasicBlock
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.deform_conv import DeformConv2d
from intarsia.nn.module import BaseModule

TAPS = (
    (-1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0),
    (-1.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 1.0),
    (1.0,) * 9,
)
"""Where the taps of a 3 x 3 kernel are: y, x, and one."""


class AdaptiveActivationBlock(nn.Module):
    """A convolution whose square of taps is turned, stretched and moved at each pixel; its input is added.

    State keys: ``regular_matrix``, ``transform_matrix_conv``, ``adapt_conv``, ``norm``.

    Args:
        channels: Channels.
        groups: Groups of channels, each with a square of its own.
    """

    regular_matrix: Tensor

    def __init__(self, channels: int, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups
        self.register_buffer('regular_matrix', torch.tensor(TAPS))
        self.transform_matrix_conv = nn.Conv2d(channels, 6 * groups, 3, padding=1, groups=groups)
        self.adapt_conv = DeformConv2d(channels, channels, 3, padding=1, groups=groups, deform_groups=groups)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.ReLU()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, h, w)`` to the same shape."""
        matrix = self.transform_matrix_conv(x_nchw).unflatten(1, (self.groups, 2, 3))
        offset = torch.einsum('ngarhw,rt->ngtahw', matrix, self.regular_matrix).flatten(1, 3)
        return self.act(self.norm(self.adapt_conv(x_nchw, offset)) + x_nchw)


def heatmap_layers(in_channels: int, channels: int, num_joints: int) -> nn.Sequential:
    """Layers that make heat maps of all joints and of the middles of people."""
    return nn.Sequential(
        ConvModule(in_channels, channels, 1, norm_cfg={'type': 'BN'}),
        BasicBlock(channels, channels),
        nn.Conv2d(channels, 1 + num_joints, 1),
    )


def offset_layers(in_channels: int, channels_per_joint: int, num_joints: int) -> nn.Sequential:
    """Layers that make x and y of each joint, from channels of its own."""
    channels = channels_per_joint * num_joints
    return nn.Sequential(
        ConvModule(in_channels, channels, 1, norm_cfg={'type': 'BN'}),
        AdaptiveActivationBlock(channels, num_joints),
        AdaptiveActivationBlock(channels, num_joints),
        nn.Conv2d(channels, 2 * num_joints, 1, groups=num_joints),
    )


class RescoreNet(BaseModule):
    """How good a pose is, from its shape and the scores of its joints.

    State keys: ``l1``, ``l2``, ``l3``.

    Args:
        in_channels: Three for each line of the skeleton, one for each joint.
        norm_indexes: Lines whose mean length is the unit.
        pretrained: Where its weights are.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self, in_channels: int, norm_indexes: Sequence[int], pretrained: str | None = None, init_cfg: Any = None
    ) -> None:
        super().__init__({'type': 'Pretrained', 'checkpoint': pretrained} if pretrained else init_cfg)
        self.norm_indexes = list(norm_indexes)
        self.l1 = nn.Linear(in_channels, 256)
        self.l2 = nn.Linear(256, 256)
        self.l3 = nn.Linear(256, 1)

    def forward(self, xy_pk2: Tensor, score_pk: Tensor, skeleton: Sequence[Sequence[int]]) -> Tensor:
        """Factors ``(P,)`` of the scores of people; 0 for what is no number."""
        start, end = zip(*skeleton, strict=True)
        line_ps2 = xy_pk2[:, list(start)] - xy_pk2[:, list(end)]
        length_ps = line_ps2.norm(dim=2)
        unit_p1 = length_ps[:, self.norm_indexes].mean(1, keepdim=True).clamp(min=1)
        shape = (line_ps2 / unit_p1[..., None]).flatten(1)
        features = torch.cat([shape, length_ps / unit_p1, score_pk], 1).to(self.l1.weight)
        return self.l3(self.l2(self.l1(features).relu()).relu()).squeeze(1).nan_to_num(0.0)


def init_of_layers(module: nn.Module) -> None:
    """Small weights everywhere, and squares of taps that begin unmoved."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=1e-8 if name.endswith('transform_matrix_conv') else 0.001)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
