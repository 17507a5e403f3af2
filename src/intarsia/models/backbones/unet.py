"""U-Net.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES, PLUGIN_LAYERS
from intarsia.models.backbones.backbone import Backbone, init_from
from intarsia.models.backbones.upsample import run
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}
INTERP_CONV: Mapping[str, Any] = {'type': 'InterpConv'}


class BasicConvBlock(nn.Module):
    """A row of 3 x 3 convolutions.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        num_convs: Number of convolutions.
        stride: Stride of the first.
        dilation: Dilation of all but the first.
        with_cp: Compute activations again in the backward pass, to save memory.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_convs: int = 2,
        stride: int = 1,
        dilation: int = 1,
        with_cp: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        first = ConvModule(in_channels, out_channels, 3, stride=stride, padding=1, **kwargs)
        others = [
            ConvModule(out_channels, out_channels, 3, padding=dilation, dilation=dilation, **kwargs)
            for _ in range(num_convs - 1)
        ]
        self.convs = nn.Sequential(first, *others)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        return run(self.convs, x_nchw, self.with_cp)


class UpConvBlock(nn.Module):
    """Bring a deep map to the size of a finer one, concatenate both, convolve.

    Args:
        in_channels: Channels of the deep map.
        skip_channels: Channels of the finer map and of the result.
        upsample_cfg: Layer that doubles the resolution; None if both maps have the same.
        num_convs: Number of convolutions after the concatenation.
        dilation: Their dilation.
        with_cp: Compute activations again in the backward pass, to save memory.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        upsample_cfg: Mapping[str, Any] | None = INTERP_CONV,
        num_convs: int = 2,
        dilation: int = 1,
        with_cp: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.conv_block = BasicConvBlock(
            2 * skip_channels, skip_channels, num_convs, dilation=dilation, with_cp=with_cp, **kwargs
        )
        if upsample_cfg is None:
            self.upsample: nn.Module = ConvModule(in_channels, skip_channels, 1, **kwargs)
        else:
            cfgs = {key: kwargs[key] for key in ('norm_cfg', 'act_cfg') if key in kwargs}
            self.upsample = PLUGIN_LAYERS.build(
                upsample_cfg, in_channels=in_channels, out_channels=skip_channels, with_cp=with_cp, **cfgs
            )

    def forward(self, skip_nchw: Tensor, x_nchw: Tensor) -> Tensor:
        """The finer and the deep map to ``(N, skip_channels, H, W)`` of the size of the finer."""
        return self.conv_block(torch.cat((skip_nchw, self.upsample(x_nchw)), dim=1))


@BACKBONES.register_module()
class UNet(Backbone):
    """Encoder and decoder that are joined at every resolution.

    "U-Net: Convolutional Networks for Biomedical Image Segmentation" (Ronneberger et al., 2015, arXiv:1505.04597).
    With zero padding, so that the result has the size of the image.

    State keys: ``encoder``, ``decoder`` (from the finest on).

    Args:
        in_channels: Channels of the image.
        base_channels: Channels of the first stage; each stage doubles them.
        num_stages: Stages of the encoder; the decoder has one fewer.
        strides: Stride of each stage of the encoder, 1 or 2.
        enc_num_convs: Convolutions of each stage of the encoder.
        dec_num_convs: Convolutions of each stage of the decoder, from the finest.
        downsamples: For each stage but the first whether the resolution is halved before it, by maxima where the
            stride is 1.
        enc_dilations: Dilation of each stage of the encoder.
        dec_dilations: Dilation of each stage of the decoder, from the finest.
        with_cp: Compute activations again in the backward pass, to save memory.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        upsample_cfg: Layer of PLUGIN_LAYERS that doubles the resolution in the decoder: ``InterpConv``,
            ``DeconvModule``, or one that takes the arguments ``in_channels``, ``out_channels``, ``with_cp``,
            ``norm_cfg`` and ``act_cfg``.
        norm_eval: Keep batch norms in evaluation mode during training.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: A sequence has not one number for each stage.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        num_stages: int = 5,
        strides: Sequence[int] = (1, 1, 1, 1, 1),
        enc_num_convs: Sequence[int] = (2, 2, 2, 2, 2),
        dec_num_convs: Sequence[int] = (2, 2, 2, 2),
        downsamples: Sequence[bool] = (True, True, True, True),
        enc_dilations: Sequence[int] = (1, 1, 1, 1, 1),
        dec_dilations: Sequence[int] = (1, 1, 1, 1),
        with_cp: bool = False,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        upsample_cfg: Mapping[str, Any] = INTERP_CONV,
        norm_eval: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        self.norm_eval = norm_eval
        encoder = {'strides': strides, 'enc_num_convs': enc_num_convs, 'enc_dilations': enc_dilations}
        decoder = {'downsamples': downsamples, 'dec_num_convs': dec_num_convs, 'dec_dilations': dec_dilations}
        for name, values in (encoder | decoder).items():
            wanted = num_stages if name in encoder else num_stages - 1
            if len(values) != wanted:
                raise ValueError(f'UNet with num_stages={num_stages} needs {wanted} {name}, not {values!r}')

        shared: dict[str, Any] = {'with_cp': with_cp, 'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        channels, reductions, before = [base_channels * 2**i for i in range(num_stages)], [strides[0]], in_channels
        for i in range(num_stages):
            halves = i > 0 and (strides[i] != 1 or bool(downsamples[i - 1]))
            pool = [nn.MaxPool2d(2)] if halves and strides[i] == 1 else []
            block = BasicConvBlock(before, channels[i], enc_num_convs[i], strides[i], enc_dilations[i], **shared)
            self.encoder.append(nn.Sequential(*pool, block))
            before = channels[i]
            if i > 0:
                reductions.append(reductions[-1] * (2 if halves else 1))
                self.decoder.append(
                    UpConvBlock(
                        channels[i], channels[i - 1], upsample_cfg if halves else None, dec_num_convs[i - 1],
                        dec_dilations[i - 1], **shared,
                    )
                )  # fmt: skip
        self.out_channels, self.strides = tuple(channels[::-1]), tuple(reductions[::-1])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps of the encoder's last stage and of all stages of the decoder, the coarsest first.

        Args:
            x: Images ``(N, in_channels, H, W)``.

        Raises:
            ValueError: H or W is not a multiple of the coarsest stride.
        """
        height, width = x.shape[2:]
        if height % self.strides[0] or width % self.strides[0]:
            raise ValueError(
                f'UNet takes images whose sides are multiples of {self.strides[0]}, not {height} x {width}'
            )
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        outs = [x]
        for block, skip_nchw in zip(reversed(self.decoder), reversed(skips[:-1]), strict=True):
            outs.append(block(skip_nchw, outs[-1]))
        return tuple(outs)
