"""BiSeNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES, MODELS
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.resize import resize

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}
RELU: Mapping[str, Any] = {'type': 'ReLU'}


class SpatialPath(BaseModule):
    """Four convolutions that keep what is small: the map has an eighth of the resolution.

    Args:
        in_channels: Channels of the image.
        num_channels: Channels after each convolution.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(self, in_channels: int, num_channels: Sequence[int], **kwargs: Any) -> None:
        super().__init__()
        widths = (in_channels, *num_channels)
        for i, (kernel, stride) in enumerate(((7, 2), (3, 2), (3, 2), (1, 1))):
            conv = ConvModule(widths[i], widths[i + 1], kernel, stride, kernel // 2, **kwargs)
            self.add_module(f'layer{i + 1}', conv)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, num_channels[-1], H / 8, W / 8)``."""
        for layer in self.children():
            x_nchw = layer(x_nchw)
        return x_nchw


class AttentionRefinementModule(BaseModule):
    """Convolve, then scale every channel by a factor that depends on the means of all.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv_layer = ConvModule(in_channels, out_channels, 3, padding=1, **kwargs)
        self.atten_conv_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d((1, 1)),
            ConvModule(out_channels, out_channels, 1, bias=False, **{**kwargs, 'act_cfg': None}),
            nn.Sigmoid(),
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        x_nchw = self.conv_layer(x_nchw)
        return x_nchw * self.atten_conv_layer(x_nchw)


class ContextPath(BaseModule):
    """A backbone whose two coarsest maps are refined and enlarged.

    Args:
        backbone_cfg: Config of a backbone with four outputs.
        context_channels: Channels of its last three outputs; the first of them is that of the results.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(self, backbone_cfg: Mapping[str, Any], context_channels: Sequence[int], **kwargs: Any) -> None:
        super().__init__()
        width, middle, last = context_channels
        self.backbone = MODELS.of('segmentation').build(backbone_cfg)
        self.arm16 = AttentionRefinementModule(middle, width, **kwargs)
        self.arm32 = AttentionRefinementModule(last, width, **kwargs)
        self.conv_head32 = ConvModule(width, width, 3, padding=1, **kwargs)
        self.conv_head16 = ConvModule(width, width, 3, padding=1, **kwargs)
        self.gap_conv = nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), ConvModule(last, width, 1, **kwargs))

    def forward(self, x_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, C, H, W)`` to two maps of ``context_channels[0]``, at an eighth and a sixteenth of the resolution."""
        _, x8_nchw, x16_nchw, x32_nchw = self.backbone(x_nchw)
        up32_nchw = resize(self.arm32(x32_nchw) + self.gap_conv(x32_nchw), x16_nchw.shape[2:])
        up32_nchw = self.conv_head32(up32_nchw)
        up16_nchw = resize(self.arm16(x16_nchw) + up32_nchw, x8_nchw.shape[2:])
        return self.conv_head16(up16_nchw), up32_nchw


class FeatureFusionModule(BaseModule):
    """Join two maps; channels that matter for the whole image are added once more.

    Args:
        in_channels: Channels of both maps together.
        out_channels: Output channels.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv1 = ConvModule(in_channels, out_channels, 1, **kwargs)
        self.gap = nn.AdaptiveAvgPool2d((1, 1))
        self.conv_atten = nn.Sequential(ConvModule(out_channels, out_channels, 1, bias=False, **kwargs), nn.Sigmoid())

    def forward(self, spatial_nchw: Tensor, context_nchw: Tensor) -> Tensor:
        """Two maps of one size to ``(N, out_channels, H, W)``."""
        fused_nchw = self.conv1(torch.cat((spatial_nchw, context_nchw), dim=1))
        return fused_nchw + fused_nchw * self.conv_atten(self.gap(fused_nchw))


@BACKBONES.register_module()
class BiSeNetV1(Backbone):
    """A shallow path for detail and a deep one for context, joined at an eighth of the resolution.

    "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation" (Yu et al., 2018, arXiv:1808.00897).

    State keys: ``context_path``, ``spatial_path``, ``ffm``.

    Args:
        backbone_cfg: Config of the deep path: a backbone with outputs at a quarter ... a thirty-second.
        in_channels: Channels of the image.
        spatial_channels: Channels after each of the four convolutions of the shallow path.
        context_channels: Channels of the last three outputs of the deep path; the first of them is that of its results.
        out_indices: What to output: 0 the joined map, 1 and 2 the deep path at an eighth and a sixteenth.
        align_corners: Of no account: maps are enlarged to the nearest neighbour.
        out_channels: Channels of the joined map.
        conv_cfg: Config of the convolutions outside of the backbone.
        norm_cfg: Config of their normalizations.
        act_cfg: Config of their activations.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There are not four and three numbers of channels, or those of the two paths do not add up to
            ``context_channels[1]``.
    """

    def __init__(
        self,
        backbone_cfg: Mapping[str, Any],
        in_channels: int = 3,
        spatial_channels: Sequence[int] = (64, 64, 64, 128),
        context_channels: Sequence[int] = (128, 256, 512),
        out_indices: int | Sequence[int] = (0, 1, 2),
        align_corners: bool = False,
        out_channels: int = 256,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(spatial_channels) != 4 or len(context_channels) != 3:
            raise ValueError(
                f'BiSeNetV1 takes four spatial_channels and three context_channels, '
                f'not {spatial_channels} and {context_channels}'
            )
        joined = spatial_channels[-1] + context_channels[0]
        if joined != context_channels[1]:
            raise ValueError(
                f'BiSeNetV1: spatial_channels[-1] + context_channels[0] = {joined} '
                f'must be context_channels[1] = {context_channels[1]}'
            )
        self.out_indices = normalize_indices(out_indices, 3, 'BiSeNetV1')
        self.align_corners = align_corners
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.context_path = ContextPath(backbone_cfg, context_channels, **cfgs)
        self.spatial_path = SpatialPath(in_channels, spatial_channels, **cfgs)
        self.ffm = FeatureFusionModule(joined, out_channels, **cfgs)
        widths = (out_channels, context_channels[0], context_channels[0])
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple((8, 8, 16)[i] for i in self.out_indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of ``out_indices``."""
        context8_nchw, context16_nchw = self.context_path(x)
        outs = (self.ffm(self.spatial_path(x), context8_nchw), context8_nchw, context16_nchw)
        return tuple(outs[i] for i in self.out_indices)
