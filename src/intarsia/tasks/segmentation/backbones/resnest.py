"""ResNeSt with the defaults and the state keys of segmentation."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones import resnest
from intarsia.models.backbones.residual import ResidualBlock
from intarsia.tasks.segmentation.backbones.resnet import ResNetV1d


@BACKBONES.register_module()
class ResNeSt(ResNetV1d):
    """ResNet whose 3 x 3 convolutions weigh splits of their channels.

    "ResNeSt: Split-Attention Networks" (Zhang et al., 2020, arXiv:2004.08955).

    Args:
        depth: 50, 101, 152, 200 or 269.
        groups: Groups of the 3 x 3 convolutions.
        base_width: Channels of each group in the first stage.
        radix: Number of splits.
        reduction_factor: By how much channels are squeezed where weights are made.
        avg_down_stride: Halve the resolution by an average behind the convolution, not by its stride.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.backbones.resnet.ResNet` but ``deep_stem`` and
            ``avg_down``.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = resnest.ResNeSt.arch_settings

    def __init__(
        self,
        depth: int,
        groups: int = 1,
        base_width: int = 4,
        radix: int = 2,
        reduction_factor: int = 4,
        avg_down_stride: bool = True,
        **kwargs: Any,
    ) -> None:
        self.block_options = {
            'groups': groups, 'width_per_group': base_width, 'radix': radix, 'reduction_factor': reduction_factor,
            'avg_down_stride': avg_down_stride,
        }  # fmt: skip
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Make one stage of bottlenecks with split attention."""
        return super().make_res_layer(base_channels=self.base_channels, **self.block_options, **kwargs)
