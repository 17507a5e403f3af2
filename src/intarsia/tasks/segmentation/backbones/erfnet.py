"""ERFNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.resize import resize

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}
RELU: Mapping[str, Any] = {'type': 'ReLU'}
EPS = 1e-3
"""Added to the variance by all batch norms."""


class DownsamplerBlock(BaseModule):
    """Halve the resolution by convolution and by maxima, and join both.

    Args:
        in_channels: Input channels.
        out_channels: Output channels, more than those.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels - in_channels, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.bn = nn.BatchNorm2d(out_channels, eps=EPS)
        self.act = nn.ReLU()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / 2, W / 2)``."""
        conv_nchw = self.conv(x_nchw)
        pool_nchw = resize(self.pool(x_nchw), size=conv_nchw.shape[2:], mode='bilinear', align_corners=False)
        return self.act(self.bn(torch.cat((conv_nchw, pool_nchw), dim=1)))


class NonBottleneck1d(BaseModule):
    """Twice a convolution along each axis, the second time dilated; added to the input.

    Args:
        channels: Channels C of the map.
        drop_rate: Dropout at the end.
        dilation: Dilation of the second time.
    """

    def __init__(self, channels: int, drop_rate: float = 0.0, dilation: int = 1) -> None:
        super().__init__()
        self.act = nn.ReLU()
        layers: list[nn.Module] = []
        for step, last in ((1, self.act), (dilation, nn.Dropout(drop_rate))):
            layers += [
                nn.Conv2d(channels, channels, (3, 1), padding=(step, 0), dilation=(step, 1)),
                self.act,
                nn.Conv2d(channels, channels, (1, 3), padding=(0, step), dilation=(1, step)),
                nn.BatchNorm2d(channels, eps=EPS),
                last,
            ]
        self.convs_layers = nn.ModuleList(layers)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        out_nchw = x_nchw
        for layer in self.convs_layers:
            out_nchw = layer(out_nchw)
        return self.act(out_nchw + x_nchw)


class UpsamplerBlock(BaseModule):
    """Double the resolution by a transposed convolution.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)
        self.bn = nn.BatchNorm2d(out_channels, eps=EPS)
        self.act = nn.ReLU()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, 2 * H, 2 * W)``."""
        return self.act(self.bn(self.conv(x_nchw)))


@BACKBONES.register_module()
class ERFNet(Backbone):
    """Encoder and decoder of residual blocks whose convolutions are along one axis each.

    "ERFNet: Efficient Residual Factorized ConvNet for Real-time Semantic Segmentation" (Romera et al., 2017,
    doi:10.1109/TITS.2017.2750080).

    State keys: ``encoder``, ``decoder``.

    Args:
        in_channels: Channels of the image.
        enc_downsample_channels: Channels after each halving of the resolution.
        enc_stage_non_bottlenecks: Residual blocks after each halving but the first.
        enc_non_bottleneck_dilations: Dilations of those after the last halving, in turns.
        enc_non_bottleneck_channels: Of no account: they are those of ``enc_downsample_channels`` but the first.
        dec_upsample_channels: As many as there are doublings of the resolution.
        dec_stages_non_bottleneck: Residual blocks after each doubling.
        dec_non_bottleneck_channels: Channels after each doubling.
        dropout_ratio: Dropout of the residual blocks of the encoder.
        conv_cfg: Of no account: the network is always that of the paper, with plain convolutions.
        norm_cfg: Of no account: with batch norms.
        act_cfg: Of no account: with ReLU.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The numbers do not belong together.
    """

    def __init__(
        self,
        in_channels: int = 3,
        enc_downsample_channels: Sequence[int] = (16, 64, 128),
        enc_stage_non_bottlenecks: Sequence[int] = (5, 8),
        enc_non_bottleneck_dilations: Sequence[int] = (2, 4, 8, 16),
        enc_non_bottleneck_channels: Sequence[int] = (64, 128),
        dec_upsample_channels: Sequence[int] = (64, 16),
        dec_stages_non_bottleneck: Sequence[int] = (2, 2),
        dec_non_bottleneck_channels: Sequence[int] = (64, 16),
        dropout_ratio: float = 0.1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        num_stages = len(enc_downsample_channels) - 1
        numbers = {
            'enc_stage_non_bottlenecks': enc_stage_non_bottlenecks,
            'enc_non_bottleneck_channels': enc_non_bottleneck_channels,
            'dec_upsample_channels': dec_upsample_channels,
            'dec_stages_non_bottleneck': dec_stages_non_bottleneck,
            'dec_non_bottleneck_channels': dec_non_bottleneck_channels,
        }
        for name, each in numbers.items():
            if len(each) != num_stages:
                raise ValueError(f'ERFNet: {name}={each} must be {num_stages}, one fewer than enc_downsample_channels')
        if enc_stage_non_bottlenecks[-1] % len(enc_non_bottleneck_dilations):
            raise ValueError(
                f'ERFNet: the last of enc_stage_non_bottlenecks={enc_stage_non_bottlenecks} must be a multiple of the '
                f'number of enc_non_bottleneck_dilations={enc_non_bottleneck_dilations}'
            )
        *before_last, num_last = enc_stage_non_bottlenecks
        turns = num_last // len(enc_non_bottleneck_dilations)
        dilations = [*((1,) * number for number in before_last), tuple(enc_non_bottleneck_dilations) * turns]
        encoder: list[nn.Module] = [DownsamplerBlock(in_channels, enc_downsample_channels[0])]
        for i in range(num_stages):
            width = enc_downsample_channels[i + 1]
            encoder.append(DownsamplerBlock(enc_downsample_channels[i], width))
            encoder += [NonBottleneck1d(width, dropout_ratio, dilation) for dilation in dilations[i]]
        decoder: list[nn.Module] = []
        widths = (enc_downsample_channels[-1], *dec_non_bottleneck_channels)
        for i, number in enumerate(dec_stages_non_bottleneck):
            decoder.append(UpsamplerBlock(widths[i], widths[i + 1]))
            decoder += [NonBottleneck1d(widths[i + 1]) for _ in range(number)]
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.out_channels, self.strides = (widths[-1],), (2,)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to one map ``(N, C, H / 2, W / 2)``."""
        for block in (*self.encoder, *self.decoder):
            x = block(x)
        return (x,)
