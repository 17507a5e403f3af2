"""RSN.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.nn.conv_module import ConvModule
from intarsia.tasks.pose.backbones.multi_stage import BN, MultiStageNetwork


class ResidualStepsBlock(nn.Module):
    """Split the channels into branches; branch i has i + 1 convolutions, each fed by that of the branch before, too.

    State keys: ``conv_bn_relu1``, ``conv_bn_relu2_{branch}_{step}``, ``conv_bn3``, ``downsample``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        branch_channels: Channels of a branch.
        num_steps: Number of branches.
        stride: Stride of the block.
        downsample: Layers that bring the input to the shape of the output; None where they are equal.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        branch_channels: int,
        num_steps: int = 4,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm_cfg: Mapping[str, Any] = BN,
    ) -> None:
        super().__init__()
        self.num_steps = num_steps
        inside = num_steps * branch_channels
        self.conv_bn_relu1 = ConvModule(in_channels, inside, 1, stride=stride, norm_cfg=norm_cfg)
        for i in range(num_steps):
            for j in range(i + 1):
                conv = ConvModule(branch_channels, branch_channels, 3, padding=1, norm_cfg=norm_cfg)
                self.add_module(f'conv_bn_relu2_{i + 1}_{j + 1}', conv)
        self.conv_bn3 = ConvModule(inside, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.downsample = downsample

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        ends: list[Tensor] = []
        neighbour: list[Tensor] = []
        for i, step_nchw in enumerate(self.conv_bn_relu1(x_nchw).chunk(self.num_steps, dim=1)):
            steps: list[Tensor] = []
            for j in range(i + 1):
                fed_nchw = step_nchw + neighbour[j] if j < i else step_nchw
                step_nchw = getattr(self, f'conv_bn_relu2_{i + 1}_{j + 1}')(fed_nchw)
                steps.append(step_nchw)
            ends.append(step_nchw)
            neighbour = steps
        identity_nchw = x_nchw if self.downsample is None else self.downsample(x_nchw)
        return (self.conv_bn3(torch.cat(ends, dim=1)) + identity_nchw).relu()


@BACKBONES.register_module()
class RSN(MultiStageNetwork):
    """Stages of residual steps blocks on the way down and single convolutions on the way up.

    "Learning Delicate Local Representations for Multi-Person Pose Estimation" (Cai et al., 2020, arXiv:2003.04030).

    State keys: ``top``, ``multi_stage_rsn``.

    Args:
        num_steps: Branches of a block, at least 2.
        expand_times: Channels of a branch of the first layer.
        **kwargs: Arguments of :class:`~intarsia.tasks.pose.backbones.multi_stage.MultiStageNetwork`.

    Raises:
        ValueError: ``num_steps`` is below 2, or what the frame raises.
    """

    stages_name: ClassVar[str] = 'multi_stage_rsn'
    expansion: ClassVar[int] = 1

    def __init__(self, num_steps: int = 4, expand_times: int = 26, **kwargs: Any) -> None:
        if num_steps < 2:
            raise ValueError(f'RSN: num_steps={num_steps} must be at least 2')
        self.num_steps, self.expand_times = num_steps, expand_times
        super().__init__(**kwargs)

    def make_layer(self, in_channels: int, out_channels: int, num_blocks: int, stride: int) -> nn.Module:
        """Make a layer of residual steps blocks."""
        shortcut = self.shortcut(in_channels, out_channels, stride)
        first = self._block(in_channels, out_channels, stride=stride, downsample=shortcut)
        return nn.Sequential(first, *[self._block(out_channels, out_channels) for _ in range(num_blocks - 1)])

    def _block(self, in_channels: int, out_channels: int, **kwargs: Any) -> ResidualStepsBlock:
        branch_channels = in_channels * self.expand_times // self.res_top_channels
        return ResidualStepsBlock(
            in_channels, out_channels, branch_channels, self.num_steps, norm_cfg=self.norm_cfg, **kwargs
        )
