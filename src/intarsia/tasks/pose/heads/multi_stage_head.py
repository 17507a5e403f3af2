"""Heat maps from every stage of a network that refines them: all are trained, the last ones are decoded.

Shapes: n people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec, Keypoints
from intarsia.tasks.pose.heads.heatmap_head import BaseHeatmapHead, chosen_layers, deconv_layers, last_conv, last_layers

Losses = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""Node of LOSSES for all stages, or one for each."""


class MultiStageHeatmapHead(BaseHeatmapHead):
    """What heads have in common whose output is a list of heat maps, the best ones last.

    Args:
        num_outputs: How many there are.
        loss: Node of LOSSES, or one for each output.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There are more losses than outputs, or fewer.
    """

    def __init__(self, num_outputs: int, loss: Losses, codec: Codec | Mapping[str, Any] | None, init_cfg: Any) -> None:
        if isinstance(loss, (list, tuple)) and len(loss) != num_outputs:
            raise ValueError(f'{type(self).__name__} has {num_outputs} outputs, but {len(loss)} losses')
        super().__init__(loss, codec, init_cfg)  # type: ignore[arg-type]

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """The sum of the losses of all outputs, and the accuracy of the last."""
        outputs = self(feats)
        pairs = self.targets_of(len(outputs), targets['target'], targets['target_weight'])
        criterion = self.criterion
        criteria = criterion if isinstance(criterion, nn.ModuleList) else [criterion] * len(outputs)
        total = sum(loss(output, *pair) for loss, output, pair in zip(criteria, outputs, pairs, strict=True))
        return {self.loss_key: total, **self.get_accuracy(outputs[-1], *pairs[-1])}

    def targets_of(self, count: int, target: Tensor, target_weight: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Target and weights for each output; the same for all."""
        return [(target, target_weight)] * count

    def flip_back(  # type: ignore[override]
        self, output: Sequence[Tensor], flip_index: Sequence[int]
    ) -> list[Tensor]:
        """Maps ``(N, K, h, w)`` of mirrored images, mirrored."""
        return [super(MultiStageHeatmapHead, self).flip_back(maps, flip_index) for maps in output]

    def decode(self, output: Sequence[Tensor]) -> Keypoints:
        """Joints and scores of the last maps."""
        return super().decode(output[-1])


class _OneLayerForEachStage(MultiStageHeatmapHead):
    """Every stage of the backbone has layers of its own: transposed convolutions, and a last one."""

    multi_deconv_layers: nn.ModuleList
    multi_final_layers: nn.ModuleList

    def forward(self, feats: Features) -> list[Tensor]:
        """Heat maps ``(N, K, h, w)`` of all stages.

        Raises:
            ValueError: The backbone has more stages than this head, or fewer.
        """
        if len(feats) != len(self.multi_final_layers):
            raise ValueError(
                f'{type(self).__name__}: num_stages={len(self.multi_final_layers)}, but the backbone gives {len(feats)}'
            )
        stages = zip(self.multi_deconv_layers, self.multi_final_layers, feats, strict=True)
        return [final(deconv(x_nchw)) for deconv, final, x_nchw in stages]


@HEADS.register_module()
class CPMHead(_OneLayerForEachStage):
    """A heat map a joint from every stage.

    "Convolutional Pose Machines" (Wei et al., 2016, arXiv:1602.00134); "Stacked Hourglass Networks for Human Pose
    Estimation" (Newell et al., 2016, arXiv:1603.06937).

    Args:
        in_channels: Channels of every stage.
        out_channels: K.
        num_stages: How many stages the backbone has.
        deconv_out_channels: Channels of the transposed convolutions, each of which doubles the size; none if empty.
        deconv_kernel_sizes: Their kernels: 2, 3 or 4.
        final_layer: ``kernel_size`` and other arguments of the last convolutions; None leaves them out.
        loss: Node of LOSSES for all stages, or one for each.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Lists differ in length, or a kernel is none of 2, 3 and 4.
    """

    loss_attribute = 'loss_module'

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_stages: int,
        deconv_out_channels: Sequence[int] | None = None,
        deconv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = dict(kernel_size=1),
        loss: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = dict(
            type='pose.KeypointMSELoss', use_target_weight=True
        ),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(num_stages, loss, codec, init_cfg)
        self.in_channels, self.out_channels, self.num_stages = in_channels, out_channels, num_stages
        channels = deconv_out_channels or ()
        kernels = (deconv_kernel_sizes or ()) if channels else ()
        width = channels[-1] if channels else in_channels
        stages = range(num_stages)
        self.multi_deconv_layers = nn.ModuleList(deconv_layers(in_channels, channels, kernels) for _ in stages)
        self.multi_final_layers = nn.ModuleList(last_conv(width, out_channels, final_layer) for _ in stages)


@HEADS.register_module()
class TopdownHeatmapMultiStageHead(_OneLayerForEachStage):
    """A heat map a joint from every stage; see :class:`CPMHead`.

    Args:
        in_channels: Channels of every stage.
        out_channels: K.
        num_stages: How many stages the backbone has.
        num_deconv_layers: Number of transposed convolutions, each of which doubles the size.
        num_deconv_filters: Their channels.
        num_deconv_kernels: Their kernels: 2, 3 or 4.
        extra: ``final_conv_kernel``: kernel of the last convolutions, 0 for none.
        loss_keypoint: Node of LOSSES for all stages, or one for each.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Lists differ in length, or a kernel is none of 2, 3 and 4.
    """

    loss_key = 'heatmap_loss'

    def __init__(
        self,
        in_channels: int = 512,
        out_channels: int = 17,
        num_stages: int = 1,
        num_deconv_layers: int = 3,
        num_deconv_filters: Sequence[int] = (256, 256, 256),
        num_deconv_kernels: Sequence[int] = (4, 4, 4),
        extra: Mapping[str, Any] | None = None,
        loss_keypoint: Losses = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(num_stages, loss_keypoint, codec, init_cfg)
        self.in_channels, self.out_channels, self.num_stages = in_channels, out_channels, num_stages
        channels, kernels = chosen_layers(num_deconv_layers, num_deconv_filters, num_deconv_kernels)
        width = channels[-1] if channels else in_channels
        stages = range(num_stages)
        self.multi_deconv_layers = nn.ModuleList(deconv_layers(in_channels, channels, kernels) for _ in stages)
        self.multi_final_layers = nn.ModuleList(last_layers(width, out_channels, extra or {}) for _ in stages)
