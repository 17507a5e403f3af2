"""Heat maps from a few transposed convolutions.

Shapes: n people, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features, joined_channels, transform_inputs
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.codecs.flip import flip_heatmaps
from intarsia.tasks.pose.heads.pose_head import PoseHead
from intarsia.tasks.pose.metrics.training_accuracy import pose_pck_accuracy

SMALL_INIT: Sequence[Mapping[str, Any]] = (
    dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.001),
    dict(type='Constant', layer='BatchNorm2d', val=1),
)
"""Heat maps are nearly 0 everywhere, and so are the first outputs."""

PADDING = {4: (1, 0), 3: (1, 1), 2: (0, 0)}
"""Padding and output padding with which a transposed convolution of a kernel exactly doubles the size."""


class BaseHeatmapHead(PoseHead):
    """What heads with heat maps have in common: the accuracy in training, and how maps are mirrored."""

    default_init = SMALL_INIT

    def make_deconv_layers(self, in_channels: int, channels: Sequence[int], kernels: Sequence[int]) -> nn.Module:
        """The transposed convolutions."""
        return deconv_layers(in_channels, channels, kernels)

    def get_accuracy(self, output: Tensor, target: Tensor, target_weight: Tensor) -> dict[str, Tensor]:
        """The part of joints whose maximum is less than a twentieth of the map's size away from the target's."""
        if target.shape[1] != output.shape[1] or target_weight.shape[1] != output.shape[1]:
            return {}  # maps that are not one a joint, as with offsets
        return {'acc_pose': pose_pck_accuracy(output.detach(), target, target_weight.flatten(1) > 0)[1]}

    def flip_back(self, output: Tensor, flip_index: Sequence[int]) -> Tensor:
        """Maps ``(N, K, h, w)`` of mirrored images, mirrored, shifted by one pixel if ``test_cfg`` says so."""
        shift = bool(self.test_cfg.get('shift_heatmap', False))
        return flip_heatmaps(output, flip_index, shift, getattr(self.codec, 'flip_mode', 'heatmap'))


@HEADS.register_module()
class HeatmapHead(BaseHeatmapHead):
    """Transposed convolutions, convolutions, and a last one: a heat map a joint.

    "Simple Baselines for Human Pose Estimation and Tracking" (Xiao et al., 2018, arXiv:1804.06208).

    Args:
        in_channels: Channels of the last stage.
        out_channels: K, or what the codec makes of K joints.
        deconv_out_channels: Channels of the transposed convolutions, each of which doubles the size; none if empty.
        deconv_kernel_sizes: Their kernels: 2, 3 or 4.
        conv_out_channels: Channels of convolutions after them.
        conv_kernel_sizes: Their kernels.
        final_layer: ``kernel_size`` and other arguments of the last convolution; None leaves it out.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Lists differ in length, or a kernel is none of 2, 3 and 4.
    """

    loss_attribute = 'loss_module'

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = dict(kernel_size=1),
        loss: Mapping[str, Any] | None = dict(type='pose.KeypointMSELoss', use_target_weight=True),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(loss, codec, init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels
        width = in_channels if isinstance(in_channels, int) else in_channels[-1]
        kernels = deconv_kernel_sizes if deconv_out_channels else None  # configs without layers leave kernels standing
        self.deconv_layers = self.make_deconv_layers(width, deconv_out_channels or (), kernels or ())
        width = deconv_out_channels[-1] if deconv_out_channels else width
        convs = conv_layers(width, conv_out_channels, conv_kernel_sizes or ()) if conv_out_channels else []
        self.conv_layers = nn.Sequential(*convs) if convs else nn.Identity()
        width = conv_out_channels[-1] if conv_out_channels else width
        self.final_layer = last_conv(width, out_channels, final_layer)

    def forward(self, feats: Features) -> Tensor:
        """Heat maps ``(N, K, h, w)`` of the last stage."""
        return self.final_layer(self.conv_layers(self.deconv_layers(feats[-1])))


@HEADS.register_module()
class TopdownHeatmapSimpleHead(BaseHeatmapHead):
    """Transposed convolutions, and one more or several convolutions: a heat map a joint.

    "Simple Baselines for Human Pose Estimation and Tracking" (Xiao et al., 2018, arXiv:1804.06208).

    Args:
        in_channels: Channels of the stage it takes, or of the stages.
        out_channels: K, or what the codec makes of K joints.
        num_deconv_layers: Number of transposed convolutions, each of which doubles the size.
        num_deconv_filters: Their channels.
        num_deconv_kernels: Their kernels: 2, 3 or 4.
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

    loss_key = 'heatmap_loss'

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        num_deconv_layers: int = 3,
        num_deconv_filters: Sequence[int] = (256, 256, 256),
        num_deconv_kernels: Sequence[int] = (4, 4, 4),
        extra: Mapping[str, Any] | None = None,
        in_index: int | Sequence[int] = 0,
        input_transform: Literal['resize_concat', 'multiple_select'] | None = None,
        align_corners: bool = False,
        loss_keypoint: Mapping[str, Any] | None = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(loss_keypoint, codec, init_cfg)
        owner = type(self).__name__
        self.in_channels: Any = joined_channels(owner, in_channels, in_index, input_transform)
        self.out_channels = out_channels
        self.in_index, self.input_transform, self.align_corners = in_index, input_transform, align_corners
        if num_deconv_layers < 0 or (num_deconv_layers and num_deconv_layers != len(num_deconv_filters)):
            raise ValueError(f'{owner}: num_deconv_layers={num_deconv_layers}, {len(num_deconv_filters)} filters')
        filters = num_deconv_filters[:num_deconv_layers]
        width: Any = self.in_channels
        self.deconv_layers = self.make_deconv_layers(width, filters, num_deconv_kernels[:num_deconv_layers])
        self.final_layer = last_layers(filters[-1] if filters else width, out_channels, extra or {})

    def forward(self, feats: Features) -> Tensor:
        """Heat maps ``(N, K, h, w)`` of the stages."""
        x_nchw = transform_inputs(feats, self.in_index, self.input_transform, self.align_corners)
        return self.final_layer(self.deconv_layers(x_nchw))


def deconv_layers(
    in_channels: int, channels: Sequence[int], kernels: Sequence[int], groups: Sequence[int] | None = None
) -> nn.Module:
    """Transposed convolutions, normalized and rectified, each of which doubles height and width.

    Raises:
        ValueError: There are more kernels or groups than channels or fewer, or a kernel is none of 2, 3 and 4.
    """
    groups = [1] * len(channels) if groups is None else groups
    if not len(channels) == len(kernels) == len(groups):
        raise ValueError(f'{len(channels)} transposed convolutions have {len(kernels)} kernels, {len(groups)} groups')
    layers: list[nn.Module] = []
    for (before, after), kernel, group in zip(pairwise([in_channels, *channels]), kernels, groups, strict=True):
        if kernel not in PADDING:
            raise ValueError(f'the kernel of a transposed convolution is 2, 3 or 4 here, not {kernel}')
        conv = nn.ConvTranspose2d(before, after, kernel, 2, *PADDING[kernel], group, bias=False)
        layers += [conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers) if layers else nn.Identity()


def chosen_layers(count: int, filters: Sequence[int], kernels: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Channels and kernels of the first ``count`` transposed convolutions.

    Raises:
        ValueError: There are not so many filters.
    """
    if len(filters[:count]) != count:
        raise ValueError(f'num_deconv_layers={count}, but there are {len(filters)} filters')
    return filters[:count], kernels[:count]


def conv_layers(in_channels: int, channels: Sequence[int], kernels: Sequence[int]) -> list[nn.Module]:
    """Convolutions, normalized and rectified, that keep height and width.

    Raises:
        ValueError: There are more kernels than channels or fewer.
    """
    if len(channels) != len(kernels):
        raise ValueError(f'{len(channels)} convolutions have {len(kernels)} kernels')
    layers: list[nn.Module] = []
    for (before, after), kernel in zip(pairwise([in_channels, *channels]), kernels, strict=True):
        conv = nn.Conv2d(before, after, kernel, padding=(kernel - 1) // 2)
        layers += [conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return layers


def last_conv(in_channels: int, out_channels: int, cfg: Mapping[str, Any] | None) -> nn.Module:
    """The last convolution; without a config there is none."""
    if cfg is None:
        return nn.Identity()
    return nn.Conv2d(in_channels, out_channels, **{'kernel_size': 1, **{k: v for k, v in cfg.items() if k != 'type'}})


def last_layers(in_channels: int, out_channels: int, extra: Mapping[str, Any]) -> nn.Module:
    """Convolutions that ``extra`` asks for, and the last one.

    Raises:
        ValueError: ``extra`` asks for something else, or for a last kernel that is none of 0, 1 and 3.
    """
    unknown = sorted(extra.keys() - {'final_conv_kernel', 'num_conv_layers', 'num_conv_kernels'})
    if unknown:
        raise ValueError(f"extra has no '{unknown[0]}', but final_conv_kernel, num_conv_layers and num_conv_kernels")
    kernel = extra.get('final_conv_kernel', 1)
    if kernel not in (0, 1, 3):
        raise ValueError(f'extra: final_conv_kernel is 0, 1 or 3, not {kernel}')
    if kernel == 0:
        return nn.Identity()
    count = extra.get('num_conv_layers', 0)
    layers = conv_layers(in_channels, [in_channels] * count, list(extra.get('num_conv_kernels', [1] * count))[:count])
    final = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    return nn.Sequential(*layers, final) if layers else final
