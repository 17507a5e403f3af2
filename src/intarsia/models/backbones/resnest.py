"""ResNeSt: ResNet with attention over splits of the channels.

Shape suffixes: n samples, r radix, g groups, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.residual import Bottleneck, ResidualBlock
from intarsia.models.backbones.resnet import ResNetV1d
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN'}


class SplitAttentionConv2d(nn.Module):
    """Convolve ``radix`` times, normalize, and mix the results channel by channel with weights that they give.

    Args:
        in_channels: Input channels.
        channels: Output channels C.
        kernel_size: Size of the kernel.
        stride: Stride.
        padding: Zeros on each side.
        dilation: Dilation.
        groups: Groups of channels ("cardinal groups").
        radix: Number of splits R.
        reduction_factor: By how much the channels are squeezed where weights are made, but to no fewer than 32.
        conv_cfg: Config of the convolution.
        norm_cfg: Config of the normalizations.
    """

    norm0_name: str
    norm1_name: str

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        radix: int = 2,
        reduction_factor: int = 4,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
    ) -> None:
        super().__init__()
        self.radix, self.groups = radix, groups
        squeezed = max(in_channels * radix // reduction_factor, 32)
        self.conv = build_conv_layer(
            conv_cfg, in_channels, channels * radix, kernel_size, stride=stride, padding=padding, dilation=dilation,
            groups=groups * radix, bias=False,
        )  # fmt: skip
        for number, width in enumerate((channels * radix, squeezed)):
            name, norm = build_norm_layer(norm_cfg, width, postfix=number)
            setattr(self, f'norm{number}_name', name)
            self.add_module(name, norm)
        self.relu = nn.ReLU(inplace=True)
        self.fc1 = nn.Conv2d(channels, squeezed, 1, groups=groups)
        self.fc2 = nn.Conv2d(squeezed, channels * radix, 1, groups=groups)

    @property
    def norm0(self) -> nn.Module:
        """Normalization of the convolution."""
        return getattr(self, self.norm0_name)

    @property
    def norm1(self) -> nn.Module:
        """Normalization of the squeezed means."""
        return getattr(self, self.norm1_name)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, C, H / stride, W / stride)``."""
        x_nchw = self.relu(self.norm0(self.conv(x_nchw)))
        splits_nrchw = x_nchw.unflatten(1, (self.radix, -1))
        mean_nc11 = splits_nrchw.sum(dim=1).mean(dim=(2, 3), keepdim=True)
        scores_nc11 = self.fc2(self.relu(self.norm1(self.fc1(mean_nc11))))
        # The scores lie group by group, the splits of a convolution split by split.
        scores_nrgc = scores_nc11.flatten(1).unflatten(1, (self.groups, self.radix, -1)).transpose(1, 2)
        weights_nrgc = scores_nrgc.softmax(dim=1) if self.radix > 1 else scores_nrgc.sigmoid()
        weights_nrc11 = weights_nrgc.flatten(2)[..., None, None]
        return (weights_nrc11 * splits_nrchw).sum(dim=1)


class SplitAttentionBottleneck(Bottleneck):
    """Bottleneck whose 3 x 3 convolution is a :class:`SplitAttentionConv2d`.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        groups: Groups of the 3 x 3 convolution.
        radix: Number of its splits.
        reduction_factor: By how much its channels are squeezed where weights are made.
        avg_down_stride: Halve the resolution by an average behind the convolution, not by its stride.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.residual.Bottleneck`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int = 1,
        radix: int = 2,
        reduction_factor: int = 4,
        avg_down_stride: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, groups=groups, **kwargs)
        stride = self.stride if self.style == 'pytorch' else 1
        averages = avg_down_stride and stride > 1
        self.conv2 = SplitAttentionConv2d(
            self.mid_channels, self.mid_channels, 3, 1 if averages else stride, self.dilation, self.dilation, groups,
            radix, reduction_factor, self.conv_cfg, self.norm_cfg,
        )  # fmt: skip
        delattr(self, self.norm2_name)
        self.avd_layer = nn.AvgPool2d(3, stride, padding=1) if averages else nn.Identity()

    def branch(self, x_nchw: Tensor) -> Tensor:
        """Three convolutions, of which the second normalizes and rectifies by itself; plugins after each."""
        x_nchw = self._plugged('after_conv1', self.relu(self.norm1(self.conv1(x_nchw))))
        x_nchw = self._plugged('after_conv2', self.avd_layer(self.conv2(x_nchw)))
        return self._plugged('after_conv3', self.norm3(self.conv3(x_nchw)))


@BACKBONES.register_module()
class ResNeSt(ResNetV1d):
    """ResNet whose 3 x 3 convolutions weigh splits of their channels.

    "ResNeSt: Split-Attention Networks" (Zhang et al., 2020, arXiv:2004.08955).

    Args:
        depth: 50, 101, 152, 200 or 269.
        groups: Groups of the 3 x 3 convolutions.
        width_per_group: Channels of each group in the first stage.
        radix: Number of splits.
        reduction_factor: By how much channels are squeezed where weights are made.
        avg_down_stride: Halve the resolution by an average behind the convolution, not by its stride.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.resnet.ResNet` but ``deep_stem`` and ``avg_down``.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        50: (SplitAttentionBottleneck, (3, 4, 6, 3)),
        101: (SplitAttentionBottleneck, (3, 4, 23, 3)),
        152: (SplitAttentionBottleneck, (3, 8, 36, 3)),
        200: (SplitAttentionBottleneck, (3, 24, 36, 3)),
        269: (SplitAttentionBottleneck, (3, 30, 48, 8)),
    }

    def __init__(
        self,
        depth: int,
        groups: int = 1,
        width_per_group: int = 4,
        radix: int = 2,
        reduction_factor: int = 4,
        avg_down_stride: bool = True,
        **kwargs: Any,
    ) -> None:
        self.block_options = {
            'groups': groups, 'width_per_group': width_per_group, 'radix': radix, 'reduction_factor': reduction_factor,
            'avg_down_stride': avg_down_stride,
        }  # fmt: skip
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Make one stage of bottlenecks with split attention."""
        return super().make_res_layer(base_channels=self.base_channels, **self.block_options, **kwargs)
