"""MSPN."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.residual import Bottleneck
from intarsia.tasks.pose.backbones.multi_stage import MultiStageNetwork


@BACKBONES.register_module()
class MSPN(MultiStageNetwork):
    """Stages of ResNet bottlenecks on the way down and single convolutions on the way up.

    "Rethinking on Multi-Stage Networks for Human Pose Estimation" (Li et al., 2019, arXiv:1901.00148).

    State keys: ``top``, ``multi_stage_mspn``.

    Args:
        **kwargs: Arguments of :class:`~intarsia.tasks.pose.backbones.multi_stage.MultiStageNetwork`.
    """

    stages_name: ClassVar[str] = 'multi_stage_mspn'
    expansion: ClassVar[int] = 4

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def make_layer(self, in_channels: int, out_channels: int, num_blocks: int, stride: int) -> nn.Module:
        """Make a layer of bottlenecks."""
        shortcut = self.shortcut(in_channels, out_channels, stride)
        first = Bottleneck(in_channels, out_channels, stride=stride, downsample=shortcut, norm_cfg=self.norm_cfg)
        others = [Bottleneck(out_channels, out_channels, norm_cfg=self.norm_cfg) for _ in range(num_blocks - 1)]
        return nn.Sequential(first, *others)
