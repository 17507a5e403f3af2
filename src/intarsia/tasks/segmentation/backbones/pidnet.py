"""PIDNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.backbones.bilateral_block import (
    CONV_LAST,
    DAPPM,
    PAPPM,
    BasicBlock,
    Bottleneck,
    make_block,
    make_layer,
    make_stem,
)

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}


class PagFM(BaseModule):
    """Take from a coarse map where it resembles the fine one.

    Args:
        in_channels: Channels C of both maps.
        channels: Channels in which they are compared.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.f_i = ConvModule(in_channels, channels, 1, norm_cfg=BN, act_cfg=None)
        self.f_p = ConvModule(in_channels, channels, 1, norm_cfg=BN, act_cfg=None)

    def forward(self, fine_nchw: Tensor, coarse_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` and a smaller map to ``(N, C, H, W)``."""
        enlarge = partial(resize, size=fine_nchw.shape[2:], mode='bilinear', align_corners=False)
        likeness_n1hw = (self.f_p(fine_nchw) * enlarge(self.f_i(coarse_nchw))).sum(1, keepdim=True).sigmoid()
        return likeness_n1hw * enlarge(coarse_nchw) + (1 - likeness_n1hw) * fine_nchw


class Bag(BaseModule):
    """Detail where there are borders, context elsewhere, then a convolution.

    Args:
        in_channels: Channels of the maps.
        out_channels: Output channels.
        norm_cfg: Config of the normalization.
        act_cfg: Config of the activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: Mapping[str, Any] | None,
        act_cfg: Mapping[str, Any] | None,
    ) -> None:
        super().__init__()
        self.conv = ConvModule(
            in_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg, order=CONV_LAST
        )

    def forward(self, detail_nchw: Tensor, context_nchw: Tensor, border_nchw: Tensor) -> Tensor:
        """Three maps of one shape to ``(N, out_channels, H, W)``."""
        gate_nchw = border_nchw.sigmoid()
        return self.conv(gate_nchw * detail_nchw + (1 - gate_nchw) * context_nchw)


class LightBag(BaseModule):
    """Detail and context, each with a part of the other: detail where there are borders, context elsewhere.

    Args:
        in_channels: Channels of the maps.
        out_channels: Output channels.
        norm_cfg: Config of the normalizations.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.f_p = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.f_i = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, detail_nchw: Tensor, context_nchw: Tensor, border_nchw: Tensor) -> Tensor:
        """Three maps of one shape to ``(N, out_channels, H, W)``."""
        gate_nchw = border_nchw.sigmoid()
        return self.f_p((1 - gate_nchw) * context_nchw + detail_nchw) + self.f_i(context_nchw + gate_nchw * detail_nchw)


@BACKBONES.register_module()
class PIDNet(Backbone):
    """Three branches, for detail, context and borders; the borders decide where detail counts and where context.

    "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers" (Xu et al., 2022,
    arXiv:2206.02066).

    State keys: ``stem``, ``i_branch_layers``, ``p_branch_layers``, ``d_branch_layers``, ``compression_1``,
    ``compression_2``, ``pag_1``, ``pag_2``, ``diff_1``, ``diff_2``, ``spp``, ``dfm``.

    Args:
        in_channels: Channels of the image.
        channels: Channels C of the stem.
        ppm_channels: Channels of each scale of the pyramid pooling.
        num_stem_blocks: Blocks of each layer of the stem and of the branch of detail; 2 makes the small network, which
            also has lighter borders, pooling and fusion.
        num_branch_blocks: Blocks of each layer of the branch of context.
        align_corners: How bilinear resizing places the pixels.
        norm_cfg: Config of the normalizations between blocks; blocks and the pyramid pooling have batch norms.
        act_cfg: Config of the activations of the stem and of the fusion.
        init_cfg: How weights are initialized.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': '_BatchNorm'},
    )

    def __init__(
        self,
        in_channels: int = 3,
        channels: int = 64,
        ppm_channels: int = 96,
        num_stem_blocks: int = 2,
        num_branch_blocks: int = 3,
        align_corners: bool = False,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.align_corners = align_corners
        is_small = num_stem_blocks == 2
        c1, c2, c4, c8, c16 = (channels * factor for factor in (1, 2, 4, 8, 16))
        conv = partial(ConvModule, bias=False, norm_cfg=norm_cfg, act_cfg=None)
        downsample = partial(_downsample, norm_cfg)
        layer = partial(make_layer, make_downsample=downsample)
        single = partial(make_block, BasicBlock, make_downsample=downsample, activates=False)
        self.stem = make_stem(in_channels, channels, num_stem_blocks, layer, norm_cfg, act_cfg)
        self.i_branch_layers = nn.ModuleList(
            [
                layer(BasicBlock, c2, c4, num_branch_blocks, stride=2),
                layer(BasicBlock, c4, c8, num_branch_blocks, stride=2),
                layer(Bottleneck, c8, c8, 2, stride=2),
            ]
        )
        self.p_branch_layers = nn.ModuleList(
            [
                layer(BasicBlock, c2, c2, num_stem_blocks),
                layer(BasicBlock, c2, c2, num_stem_blocks),
                layer(Bottleneck, c2, c2, 1),
            ]
        )
        middle = layer(Bottleneck, c1, c1, 1) if is_small else single(c2, c2)
        border = c1 if is_small else c2
        self.d_branch_layers = nn.ModuleList([single(c2, border), middle, layer(Bottleneck, c2, c2, 1)])
        self.compression_1, self.compression_2 = conv(c4, c2, 1), conv(c8, c2, 1)
        self.pag_1, self.pag_2 = PagFM(c2, c1), PagFM(c2, c1)
        self.diff_1, self.diff_2 = conv(c4, border, 3, padding=1), conv(c8, c2, 3, padding=1)
        self.spp = (PAPPM if is_small else DAPPM)(c16, ppm_channels, c4)
        self.dfm = LightBag(c4, c4, norm_cfg) if is_small else Bag(c4, c4, norm_cfg, act_cfg)
        self.out_channels, self.strides = (c2, c4, c2), (8, 8, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(N, in_channels, H, W)`` to three maps at an eighth of the resolution.

        Returns:
            An early map of detail ``(N, 2 * C, H / 8, W / 8)`` for an auxiliary loss, all branches joined
            ``(N, 4 * C, H / 8, W / 8)``, and an early map of borders ``(N, 2 * C, H / 8, W / 8)``.
        """
        x_nchw = self.stem(x)
        context_nchw = self.i_branch_layers[0](x_nchw).relu()
        detail_nchw, border_nchw = self.p_branch_layers[0](x_nchw), self.d_branch_layers[0](x_nchw)
        detail_nchw = self.pag_1(detail_nchw, self.compression_1(context_nchw))
        border_nchw = border_nchw + self._enlarge(self.diff_1(context_nchw), border_nchw)
        early_detail_nchw = detail_nchw

        context_nchw = self.i_branch_layers[1](context_nchw).relu()
        detail_nchw = self.p_branch_layers[1](detail_nchw.relu())
        border_nchw = self.d_branch_layers[1](border_nchw.relu())
        detail_nchw = self.pag_2(detail_nchw, self.compression_2(context_nchw))
        border_nchw = border_nchw + self._enlarge(self.diff_2(context_nchw), border_nchw)
        early_border_nchw = border_nchw

        context_nchw = self.spp(self.i_branch_layers[2](context_nchw))
        detail_nchw = self.p_branch_layers[2](detail_nchw.relu())
        border_nchw = self.d_branch_layers[2](border_nchw.relu())
        joined_nchw = self.dfm(detail_nchw, self._enlarge(context_nchw, detail_nchw), border_nchw)
        return early_detail_nchw, joined_nchw, early_border_nchw

    def _enlarge(self, x_nchw: Tensor, like_nchw: Tensor) -> Tensor:
        return resize(x_nchw, size=like_nchw.shape[2:], mode='bilinear', align_corners=self.align_corners)


def _downsample(norm_cfg: Mapping[str, Any] | None, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    return ConvModule(in_channels, out_channels, 1, stride, norm_cfg=norm_cfg, act_cfg=None)
