"""Heat maps from transposed convolutions in groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from intarsia.core.registries import HEADS
from intarsia.tasks.pose.heads.heatmap_head import HeatmapHead, TopdownHeatmapSimpleHead, deconv_layers


@HEADS.register_module()
class ViPNASHead(HeatmapHead):
    """:class:`HeatmapHead` whose transposed convolutions have groups, so that they cost a fraction.

    "ViPNAS: Efficient Video Pose Estimation via Neural Architecture Search" (Xu et al., 2021, arXiv:2105.10154).

    Args:
        deconv_out_channels: Channels of the transposed convolutions, each of which doubles the size; none if empty.
        deconv_num_groups: Their groups.
        **kwargs: Arguments of :class:`HeatmapHead`.

    Raises:
        ValueError: Lists differ in length, or a kernel is none of 2, 3 and 4.
    """

    def __init__(
        self,
        deconv_out_channels: Sequence[int] | None = (144, 144, 144),
        deconv_num_groups: Sequence[int] | None = (16, 16, 16),
        **kwargs: Any,
    ) -> None:
        self.deconv_num_groups = deconv_num_groups
        super().__init__(deconv_out_channels=deconv_out_channels, **kwargs)

    def make_deconv_layers(self, in_channels: int, channels: Sequence[int], kernels: Sequence[int]) -> nn.Module:
        """The transposed convolutions, in groups."""
        return deconv_layers(in_channels, channels, kernels, self.deconv_num_groups if channels else None)


@HEADS.register_module()
class ViPNASHeatmapSimpleHead(TopdownHeatmapSimpleHead):
    """:class:`TopdownHeatmapSimpleHead` whose transposed convolutions have groups; see :class:`ViPNASHead`.

    Args:
        num_deconv_filters: Channels of the transposed convolutions.
        num_deconv_groups: Their groups.
        **kwargs: Arguments of :class:`TopdownHeatmapSimpleHead`.

    Raises:
        ValueError: Arguments do not fit each other.
    """

    def __init__(
        self,
        num_deconv_filters: Sequence[int] = (144, 144, 144),
        num_deconv_groups: Sequence[int] = (16, 16, 16),
        **kwargs: Any,
    ) -> None:
        self.num_deconv_groups = num_deconv_groups
        super().__init__(num_deconv_filters=num_deconv_filters, **kwargs)

    def make_deconv_layers(self, in_channels: int, channels: Sequence[int], kernels: Sequence[int]) -> nn.Module:
        """The transposed convolutions, in groups."""
        return deconv_layers(in_channels, channels, kernels, self.num_deconv_groups[: len(channels)])
