"""Coordinates as classes: a vector for x and one for y, of bins narrower than a pixel.

Shapes: n people, k joints, c channels, h rows, w columns, d places of a map; Lx and Ly bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.codecs.flip import flip_vectors
from intarsia.tasks.pose.heads.agreement import STRIDE, agreed
from intarsia.tasks.pose.heads.heatmap_head import SMALL_INIT, HeatmapHead, last_conv
from intarsia.tasks.pose.heads.pose_head import PoseHead
from intarsia.tasks.pose.heads.vipnas_head import ViPNASHead
from intarsia.tasks.pose.metrics.training_accuracy import simcc_pck_accuracy

Vectors = tuple[Tensor, Tensor]
"""``(N, K, Lx)`` for x and ``(N, K, Ly)`` for y."""


class CoordinateClassHead(PoseHead):
    """What heads for :class:`~intarsia.tasks.pose.codecs.simcc_label.SimCCLabel` have in common.

    Args:
        input_size: Width and height of the input; the codec's if None.
        in_featuremap_size: Width and height of the map it takes; a 32nd of the input's if None.
        simcc_split_ratio: Bins in a pixel; the codec's if None.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The codec says something else, or a number is given neither here nor there.
    """

    loss_attribute = 'loss_module'
    default_init = (*SMALL_INIT, dict(type='Normal', layer='Linear', std=0.01, bias=0))

    def __init__(
        self,
        input_size: Sequence[int] | None,
        in_featuremap_size: Sequence[int] | None,
        simcc_split_ratio: float | None,
        loss: Mapping[str, Any] | None,
        codec: Codec | Mapping[str, Any] | None,
        init_cfg: Any,
    ) -> None:
        super().__init__(loss, codec, init_cfg)
        width, height = self._shared('input_size', input_size)
        self.simcc_split_ratio = float(self._shared('simcc_split_ratio', simcc_split_ratio))
        self.num_bins = round(width * self.simcc_split_ratio), round(height * self.simcc_split_ratio)
        self.in_featuremap_size = tuple(in_featuremap_size or (width // STRIDE, height // STRIDE))

    def _shared(self, name: str, given: Any) -> Any:
        return agreed(type(self).__name__, name, given, self.codec, getattr(self.codec, name, None))

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses by name, and ``acc_pose``.

        Args:
            feats: Stages of the backbone or neck.
            targets: ``target_x`` (N, K, Lx), ``target_y`` (N, K, Ly), ``target_weight`` (N, K).
        """
        output, target = self(feats), (targets['target_x'], targets['target_y'])
        loss = self.get_loss(output, target, targets['target_weight'])
        return {**loss, **self.get_accuracy(output, target, targets['target_weight'])}

    def get_accuracy(self, output: Vectors, target: Vectors, target_weight: Tensor) -> dict[str, Tensor]:
        """The part of joints that are less than a twentieth of the input away from where they should be."""
        found = (output[0].detach(), output[1].detach())
        return {'acc_pose': simcc_pck_accuracy(found, target, self.simcc_split_ratio, target_weight > 0)[1]}

    def flip_back(self, output: Vectors, flip_index: Sequence[int]) -> Vectors:
        """Vectors of mirrored images, mirrored."""
        return flip_vectors(*output, flip_index)


@HEADS.register_module()
class SimCCHead(CoordinateClassHead):
    """Heat maps, each of which two linear layers turn into vectors for x and y.

    "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation" (Li et al., 2021,
    arXiv:2107.03332).

    Args:
        in_channels: Channels of the last stage.
        out_channels: K.
        input_size: Width and height of the input; the codec's if None.
        in_featuremap_size: Width and height of the last stage; a 32nd of the input's if None.
        simcc_split_ratio: Bins in a pixel; the codec's if None.
        deconv_type: ``'heatmap'``, or ``'vipnas'`` for transposed convolutions in groups.
        deconv_out_channels: Channels of the transposed convolutions, each of which doubles the size; none if empty.
        deconv_kernel_sizes: Their kernels: 2, 3 or 4.
        deconv_num_groups: Their groups, with ``deconv_type='vipnas'``.
        conv_out_channels: Channels of convolutions after them.
        conv_kernel_sizes: Their kernels.
        final_layer: ``kernel_size`` and other arguments of the last convolution; None leaves it out.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The codec says something else, or arguments do not fit each other.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        input_size: Sequence[int] | None = None,
        in_featuremap_size: Sequence[int] | None = None,
        simcc_split_ratio: float | None = None,
        deconv_type: Literal['heatmap', 'vipnas'] = 'heatmap',
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        deconv_num_groups: Sequence[int] | None = (16, 16, 16),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = dict(kernel_size=1),
        loss: Mapping[str, Any] | None = dict(type='pose.KLDiscretLoss', use_target_weight=True),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(input_size, in_featuremap_size, simcc_split_ratio, loss, codec, init_cfg)
        if deconv_type not in ('heatmap', 'vipnas'):
            raise ValueError(f"SimCCHead: deconv_type is 'heatmap' or 'vipnas', not {deconv_type!r}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.deconv_head: nn.Module | None = None
        if deconv_out_channels:
            layers: dict[str, Any] = dict(
                deconv_out_channels=deconv_out_channels, deconv_kernel_sizes=deconv_kernel_sizes,
                conv_out_channels=conv_out_channels, conv_kernel_sizes=conv_kernel_sizes, final_layer=final_layer,
            )  # fmt: skip
            if deconv_type == 'vipnas':
                layers['deconv_num_groups'] = deconv_num_groups
            kind = ViPNASHead if deconv_type == 'vipnas' else HeatmapHead
            self.deconv_head = kind(in_channels=in_channels, out_channels=out_channels, loss=None, **layers)
        else:
            width = in_channels if isinstance(in_channels, int) else in_channels[-1]
            self.final_layer = last_conv(width, out_channels, final_layer)
        scale = 2 ** len(deconv_out_channels or ())
        self.heatmap_size = tuple(length * scale for length in self.in_featuremap_size)
        places = self.heatmap_size[0] * self.heatmap_size[1]
        self.mlp_head_x = nn.Linear(places, self.num_bins[0])
        self.mlp_head_y = nn.Linear(places, self.num_bins[1])

    def forward(self, feats: Features) -> Vectors:
        """``(N, K, Lx)`` and ``(N, K, Ly)`` from the last stage."""
        heatmap_nkhw = self.final_layer(feats[-1]) if self.deconv_head is None else self.deconv_head(feats)
        x_nkd = heatmap_nkhw.flatten(2)
        return self.mlp_head_x(x_nkd), self.mlp_head_y(x_nkd)
