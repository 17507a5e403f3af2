"""BiSeNetV2.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.depthwise_separable import DepthwiseSeparableConvModule
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import resize

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}

Conv = partial(ConvModule, norm_cfg=BN)
Conv3x3 = partial(Conv, kernel_size=3, padding=1)


class DetailBranch(BaseModule):
    """Few wide layers that keep what is small: each stage halves the resolution.

    Args:
        detail_channels: Channels of each stage.
        in_channels: Channels of the image.
    """

    def __init__(self, detail_channels: Sequence[int], in_channels: int) -> None:
        super().__init__()
        stages = []
        for i, width in enumerate(detail_channels):
            first = Conv3x3(detail_channels[i - 1] if i else in_channels, width, stride=2)
            stages.append(nn.Sequential(first, *[Conv3x3(width, width) for _ in range(2 if i else 1)]))
        self.detail_branch = nn.ModuleList(stages)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, detail_channels[-1], H / 2 ** stages, W / 2 ** stages)``."""
        for stage in self.detail_branch:
            x_nchw = stage(x_nchw)
        return x_nchw


class StemBlock(BaseModule):
    """Quarter the resolution in two ways, by convolution and by maxima, and join them.

    Args:
        in_channels: Channels of the image.
        out_channels: Output channels.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_first = Conv3x3(in_channels, out_channels, stride=2)
        self.convs = nn.Sequential(
            Conv(out_channels, out_channels // 2, 1), Conv3x3(out_channels // 2, out_channels, stride=2)
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.fuse_last = Conv3x3(out_channels * 2, out_channels)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / 4, W / 4)``."""
        x_nchw = self.conv_first(x_nchw)
        return self.fuse_last(torch.cat((self.convs(x_nchw), self.pool(x_nchw)), dim=1))


class GELayer(BaseModule):
    """Gather neighbours, widen every channel by itself, narrow again; added to the input.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        exp_ratio: Channels inside divided by input channels.
        stride: 1 or 2; 2 brings a second filter and a shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, exp_ratio: int, stride: int) -> None:
        super().__init__()
        width = in_channels * exp_ratio
        self.conv1 = Conv3x3(in_channels, in_channels)
        if stride == 1:
            self.dwconv = nn.Sequential(Conv3x3(in_channels, width, groups=in_channels))
            self.shortcut: nn.Module | None = None
        else:
            self.dwconv = nn.Sequential(
                Conv3x3(in_channels, width, stride=stride, groups=in_channels, act_cfg=None),
                Conv3x3(width, width, groups=width),
            )
            self.shortcut = nn.Sequential(
                DepthwiseSeparableConvModule(in_channels, out_channels, 3, stride, 1, norm_cfg=BN, act_cfg=None)
            )
        self.conv2 = nn.Sequential(Conv(width, out_channels, 1, act_cfg=None))
        self.act = nn.ReLU()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        out_nchw = self.conv2(self.dwconv(self.conv1(x_nchw)))
        return self.act(out_nchw + (x_nchw if self.shortcut is None else self.shortcut(x_nchw)))


class CEBlock(BaseModule):
    """Add to every place what the mean of the whole map says.

    Args:
        channels: Channels C of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gap = nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), build_norm_layer(BN, channels)[1])
        self.conv_gap = Conv(channels, channels, 1)
        self.conv_last = Conv3x3(channels, channels)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return self.conv_last(x_nchw + self.conv_gap(self.gap(x_nchw)))


class SemanticBranch(BaseModule):
    """Many narrow layers that see much: each stage halves the resolution, the first quarters it.

    State keys: ``stage1`` ..., and for the last of them ``stage4_CEBlock``.

    Args:
        semantic_channels: Channels of each stage.
        in_channels: Channels of the image.
        exp_ratio: Channels inside layers divided by those around.
    """

    def __init__(self, semantic_channels: Sequence[int], in_channels: int, exp_ratio: int) -> None:
        super().__init__()
        last = len(semantic_channels) - 1
        self.stage1 = StemBlock(in_channels, semantic_channels[0])
        for i in range(1, last + 1):
            before, width = semantic_channels[i - 1], semantic_channels[i]
            others = [GELayer(width, width, exp_ratio, 1) for _ in range(3 if i == last else 1)]
            self.add_module(f'stage{i + 1}', nn.Sequential(GELayer(before, width, exp_ratio, 2), *others))
        self.add_module(f'stage{last + 1}_CEBlock', CEBlock(semantic_channels[-1]))

    def forward(self, x_nchw: Tensor) -> list[Tensor]:
        """``(N, in_channels, H, W)`` to the map of each stage, that of the last without and with context."""
        outs = []
        for stage in self.children():
            x_nchw = stage(x_nchw)
            outs.append(x_nchw)
        return outs


class BGALayer(BaseModule):
    """Each branch says where the other counts, at two resolutions.

    Args:
        out_channels: Channels C of both branches and of the result.
        align_corners: How bilinear resizing places the pixels.
    """

    def __init__(self, out_channels: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        filtered = partial(
            DepthwiseSeparableConvModule, out_channels, out_channels, 3, padding=1, dw_norm_cfg=BN, act_cfg=None
        )
        plain = partial(Conv3x3, out_channels, out_channels, act_cfg=None)
        self.detail_dwconv = nn.Sequential(filtered())
        self.detail_down = nn.Sequential(plain(stride=2), nn.AvgPool2d(3, stride=2, padding=1))
        self.semantic_conv = nn.Sequential(plain())
        self.semantic_dwconv = nn.Sequential(filtered())
        self.conv = Conv3x3(out_channels, out_channels)

    def forward(self, detail_nchw: Tensor, semantic_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` and ``(N, C, H / 4, W / 4)`` to ``(N, C, H, W)``."""
        fine_nchw = self.detail_dwconv(detail_nchw)
        fine_nchw = fine_nchw * self._enlarge(self.semantic_conv(semantic_nchw), fine_nchw).sigmoid()
        coarse_nchw = self.detail_down(detail_nchw) * self.semantic_dwconv(semantic_nchw).sigmoid()
        return self.conv(fine_nchw + self._enlarge(coarse_nchw, fine_nchw))

    def _enlarge(self, x_nchw: Tensor, like_nchw: Tensor) -> Tensor:
        return resize(x_nchw, size=like_nchw.shape[2:], mode='bilinear', align_corners=self.align_corners)


@BACKBONES.register_module()
class BiSeNetV2(Backbone):
    """A wide and shallow branch for detail, a narrow and deep one for context, joined at an eighth of the resolution.

    "BiSeNet V2: Bilateral Network with Guided Aggregation for Real-time Semantic Segmentation" (Yu et al., 2020,
    arXiv:2004.02147).

    State keys: ``detail``, ``semantic``, ``bga``.

    Args:
        in_channels: Channels of the image.
        detail_channels: Channels of each stage of the wide branch.
        semantic_channels: Channels of each stage of the narrow branch; the last are those of the wide branch.
        semantic_expansion_ratio: Channels inside layers of the narrow branch divided by those around.
        bga_channels: Channels of the joined map; those of the last stages.
        out_indices: What to output: 0 the joined map, 1 ... 4 the stages of the narrow branch.
        align_corners: How bilinear resizing places the pixels.
        conv_cfg: Of no account: the network is always that of the paper, with plain convolutions.
        norm_cfg: Of no account: with batch norms.
        act_cfg: Of no account: with ReLU.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The branches cannot be joined.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        in_channels: int = 3,
        detail_channels: Sequence[int] = (64, 64, 128),
        semantic_channels: Sequence[int] = (16, 32, 64, 128),
        semantic_expansion_ratio: int = 6,
        bga_channels: int = 128,
        out_indices: int | Sequence[int] = (0, 1, 2, 3, 4),
        align_corners: bool = False,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if not detail_channels[-1] == semantic_channels[-1] == bga_channels:
            raise ValueError(
                f'BiSeNetV2: bga_channels={bga_channels} must be the last of detail_channels={detail_channels} '
                f'and of semantic_channels={semantic_channels}'
            )
        self.out_indices = normalize_indices(out_indices, len(semantic_channels) + 1, 'BiSeNetV2')
        self.detail = DetailBranch(detail_channels, in_channels)
        self.semantic = SemanticBranch(semantic_channels, in_channels, semantic_expansion_ratio)
        self.bga = BGALayer(bga_channels, align_corners)
        widths = (bga_channels, *semantic_channels)
        strides = (2 ** len(detail_channels), *(4 * 2**i for i in range(len(semantic_channels))))
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of ``out_indices``."""
        *stages, context_nchw = self.semantic(x)
        outs = (self.bga(self.detail(x), context_nchw), *stages)
        return tuple(outs[i] for i in self.out_indices)
