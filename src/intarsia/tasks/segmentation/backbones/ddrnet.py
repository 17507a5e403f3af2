"""DDRNet.

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
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.backbones.bilateral_block import DAPPM, BasicBlock, Bottleneck, make_layer, make_stem

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}


@BACKBONES.register_module()
class DDRNet(Backbone):
    """Two branches, one at an eighth of the resolution and one that goes deeper, which are added to each other twice.

    "Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road Scenes" (Hong et al., 2021,
    arXiv:2101.06085).

    State keys: ``stem``, ``context_branch_layers``, ``spatial_branch_layers``, ``compression_1``, ``down_1``,
    ``compression_2``, ``down_2``, ``spp``.

    Args:
        in_channels: Channels of the image.
        channels: Channels C of the stem.
        ppm_channels: Channels of each scale of the pyramid pooling.
        align_corners: How bilinear resizing places the pixels.
        norm_cfg: Config of the normalizations; the first block of each layer and the pyramid pooling have batch norms.
        act_cfg: Config of the activations outside of blocks.
        init_cfg: How weights are initialized.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': '_BatchNorm'},
    )

    def __init__(
        self,
        in_channels: int = 3,
        channels: int = 32,
        ppm_channels: int = 128,
        align_corners: bool = False,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.align_corners = align_corners
        layer = partial(make_layer, make_downsample=partial(_downsample, norm_cfg), later_norm_cfg=norm_cfg)
        conv = partial(ConvModule, norm_cfg=norm_cfg)
        down = partial(conv, kernel_size=3, stride=2, padding=1)
        c2, c4, c8 = channels * 2, channels * 4, channels * 8
        self.stem = make_stem(in_channels, channels, 2, layer, norm_cfg, act_cfg)
        self.context_branch_layers = nn.ModuleList(
            [
                layer(BasicBlock, c2, c4, 2, stride=2),
                layer(BasicBlock, c4, c8, 2, stride=2),
                layer(Bottleneck, c8, c8, 1, stride=2),
            ]
        )
        self.spatial_branch_layers = nn.ModuleList(
            [layer(BasicBlock, c2, c2, 2), layer(BasicBlock, c2, c2, 2), layer(Bottleneck, c2, c2, 1)]
        )
        self.compression_1 = conv(c4, c2, 1, act_cfg=None)
        self.down_1 = down(c2, c4, act_cfg=None)
        self.compression_2 = conv(c8, c2, 1, act_cfg=None)
        self.down_2 = nn.Sequential(down(c2, c4, act_cfg=act_cfg), down(c4, c8, act_cfg=None))
        self.spp = DAPPM(channels * 16, ppm_channels, c4)
        self.out_channels, self.strides = (c2, c4), (8, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, in_channels, H, W)`` to two maps at an eighth of the resolution.

        Returns:
            The first sum in the finer branch ``(N, 2 * C, H / 8, W / 8)``, for an auxiliary loss, and the sum of both
            branches ``(N, 4 * C, H / 8, W / 8)``.
        """
        x_nchw = self.stem(x)
        context_nchw, fine_nchw = self.context_branch_layers[0](x_nchw), self.spatial_branch_layers[0](x_nchw)
        context_nchw, fine_nchw = self._exchange(context_nchw, fine_nchw, self.compression_1, self.down_1)
        early_nchw = fine_nchw
        context_nchw = self.context_branch_layers[1](context_nchw.relu())
        fine_nchw = self.spatial_branch_layers[1](fine_nchw.relu())
        context_nchw, fine_nchw = self._exchange(context_nchw, fine_nchw, self.compression_2, self.down_2)
        fine_nchw = self.spatial_branch_layers[2](fine_nchw.relu())
        context_nchw = self.spp(self.context_branch_layers[2](context_nchw.relu()))
        return early_nchw, fine_nchw + self._enlarge(context_nchw, fine_nchw)

    def _exchange(
        self, context_nchw: Tensor, fine_nchw: Tensor, compression: nn.Module, down: nn.Module
    ) -> tuple[Tensor, Tensor]:
        """Each branch with what the other has found."""
        compressed_nchw = compression(context_nchw.relu())
        return context_nchw + down(fine_nchw.relu()), fine_nchw + self._enlarge(compressed_nchw, fine_nchw)

    def _enlarge(self, x_nchw: Tensor, like_nchw: Tensor) -> Tensor:
        return resize(x_nchw, size=like_nchw.shape[2:], mode='bilinear', align_corners=self.align_corners)


def _downsample(norm_cfg: Mapping[str, Any], in_channels: int, out_channels: int, stride: int) -> nn.Module:
    conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(conv, build_norm_layer(norm_cfg, out_channels)[1])
