"""Heat maps from transposed convolutions in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from intarsia.core.registries import HEADS
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.heatmap_head import HeatmapHead, TopdownHeatmapSimpleHead, deconv_layers


@HEADS.register_module()
class ViPNASHead(HeatmapHead):
    """:class:`HeatmapHead` whose transposed convolutions have groups, so that they cost a fraction.

    "ViPNAS: Efficient Video Pose Estimation via Neural Architecture Search" (Xu et al., 2021, arXiv:2105.10154).

    Args:
        in_channels: Channels of the last stage.
        out_channels: K, or what the codec makes of K joints.
        deconv_out_channels: Channels of the transposed convolutions, each of which doubles the size; none if empty.
        deconv_kernel_sizes: Their kernels: 2, 3 or 4.
        deconv_num_groups: Their groups.
        conv_out_channels: Channels of convolutions after them.
        conv_kernel_sizes: Their kernels.
        final_layer: ``kernel_size`` and other arguments of the last convolution; None leaves it out.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Lists differ in length, or a kernel is none of 2, 3 and 4.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        deconv_out_channels: Sequence[int] | None = (144, 144, 144),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        deconv_num_groups: Sequence[int] | None = (16, 16, 16),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = dict(kernel_size=1),
        loss: Mapping[str, Any] | None = dict(type='pose.KeypointMSELoss', use_target_weight=True),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, deconv_out_channels, deconv_kernel_sizes, conv_out_channels, conv_kernel_sizes,
            final_layer, loss, codec, init_cfg,
        )  # fmt: skip
        width = in_channels if isinstance(in_channels, int) else in_channels[-1]
        if deconv_out_channels:
            kernels = deconv_kernel_sizes or ()
            self.deconv_layers = deconv_layers(width, deconv_out_channels, kernels, deconv_num_groups)


@HEADS.register_module()
class ViPNASHeatmapSimpleHead(TopdownHeatmapSimpleHead):
    """:class:`TopdownHeatmapSimpleHead` whose transposed convolutions have groups; see :class:`ViPNASHead`.

    Args:
        in_channels: Channels of the stage it takes, or of the stages.
        out_channels: K, or what the codec makes of K joints.
        num_deconv_layers: Number of transposed convolutions, each of which doubles the size.
        num_deconv_filters: Their channels.
        num_deconv_kernels: Their kernels: 2, 3 or 4.
        num_deconv_groups: Their groups.
        extra: ``final_conv_kernel``: kernel of the last convolution, 0 for none; ``num_conv_layers`` and
            ``num_conv_kernels``: convolutions before it.
        in_index: Index of the stage, or of the stages.
        input_transform: What happens to several stages; see :mod:`intarsia.models.stage_input`.
        align_corners: How bilinear resizing places the pixels.
        loss_keypoint: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Arguments do not fit each other.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        num_deconv_layers: int = 3,
        num_deconv_filters: Sequence[int] = (144, 144, 144),
        num_deconv_kernels: Sequence[int] = (4, 4, 4),
        num_deconv_groups: Sequence[int] = (16, 16, 16),
        extra: Mapping[str, Any] | None = None,
        in_index: int | Sequence[int] = 0,
        input_transform: Literal['resize_concat', 'multiple_select'] | None = None,
        align_corners: bool = False,
        loss_keypoint: Mapping[str, Any] | None = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, num_deconv_layers, num_deconv_filters, num_deconv_kernels, extra, in_index,
            input_transform, align_corners, loss_keypoint, codec, init_cfg,
        )  # fmt: skip
        filters, kernels, groups = (
            each[:num_deconv_layers] for each in (num_deconv_filters, num_deconv_kernels, num_deconv_groups)
        )
        self.deconv_layers = deconv_layers(self.in_channels, filters, kernels, groups)
