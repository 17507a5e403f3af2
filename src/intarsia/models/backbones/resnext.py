"""ResNeXt: ResNet with grouped convolutions."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.residual import Bottleneck, ResidualBlock, ResLayer
from intarsia.models.backbones.resnet import ResNet


@BACKBONES.register_module()
class ResNeXt(ResNet):
    """ResNet whose 3 x 3 convolutions are grouped.

    "Aggregated Residual Transformations for Deep Neural Networks" (Xie et al., 2016, arXiv:1611.05431).

    Args:
        depth: 50, 101 or 152.
        groups: Number of groups.
        width_per_group: Channels of each group in the first stage.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.resnet.ResNet`.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(self, depth: int, groups: int = 32, width_per_group: int = 4, **kwargs: Any) -> None:
        self.groups, self.width_per_group = groups, width_per_group
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Make one stage of grouped bottlenecks."""
        return ResLayer(
            groups=self.groups, width_per_group=self.width_per_group, base_channels=self.base_channels, **kwargs
        )
