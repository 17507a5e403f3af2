"""ResNet and ResNeXt with attention over channels."""

from __future__ import annotations

from typing import Any

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.resnext import ResNeXt


@BACKBONES.register_module()
class SEResNeXt(ResNeXt):
    """ResNeXt with a squeeze-and-excitation layer at the end of each block.

    "Squeeze-and-Excitation Networks" (Hu et al., 2017, arXiv:1709.01507).

    Args:
        depth: 50, 101 or 152.
        groups: Number of groups.
        width_per_group: Channels of each group in the first stage.
        se_ratio: By how much the channels are squeezed.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.resnet.ResNet`.
    """

    def __init__(
        self, depth: int, groups: int = 32, width_per_group: int = 4, se_ratio: int = 16, **kwargs: Any
    ) -> None:
        self.se_ratio = se_ratio
        super().__init__(depth, groups=groups, width_per_group=width_per_group, **kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Make one stage of bottlenecks with attention over channels."""
        return super().make_res_layer(se_ratio=self.se_ratio, **kwargs)


@BACKBONES.register_module()
class SEResNet(SEResNeXt):
    """ResNet with a squeeze-and-excitation layer at the end of each block (paper of :class:`SEResNeXt`).

    Args:
        depth: 50, 101 or 152.
        se_ratio: By how much the channels are squeezed.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.resnet.ResNet`.
    """

    def __init__(self, depth: int, se_ratio: int = 16, **kwargs: Any) -> None:
        super().__init__(depth, groups=1, se_ratio=se_ratio, **kwargs)
