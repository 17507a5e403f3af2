"""ICNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES, MODELS
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.heads.psp_head import PyramidPooling

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}
RELU: Mapping[str, Any] = {'type': 'ReLU'}


@BACKBONES.register_module()
class ICNet(Backbone):
    """The whole image through few layers, smaller versions of it through more.

    "ICNet for Real-Time Semantic Segmentation on High-Resolution Images" (Zhao et al., 2017, arXiv:1704.08545).

    State keys: ``backbone``, ``psp_modules``, ``psp_bottleneck``, ``conv_sub1``, ``conv_sub2``, ``conv_sub4``.

    Args:
        backbone_cfg: Config of a ResNet with a deep stem and an output stride of 8; it sees the image at half its size,
            and its third and fourth stages the map at half of that.
        in_channels: Channels of the image.
        layer_channels: Channels of its second and fourth stage.
        light_branch_middle_channels: Channels inside the branch of the whole image.
        psp_out_channels: Channels of the pyramid pooling of the fourth stage.
        out_channels: Channels of each output.
        pool_scales: Cells along each side of the grids of the pyramid pooling.
        conv_cfg: Config of the convolutions outside of the ResNet.
        norm_cfg: Config of their normalizations.
        act_cfg: Config of the activations of the pyramid pooling.
        align_corners: How bilinear resizing places the pixels.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There are not two and three numbers of channels.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'mode': 'fan_out', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': '_BatchNorm'},
    )

    def __init__(
        self,
        backbone_cfg: Mapping[str, Any],
        in_channels: int = 3,
        layer_channels: Sequence[int] = (512, 2048),
        light_branch_middle_channels: int = 32,
        psp_out_channels: int = 512,
        out_channels: Sequence[int] = (64, 256, 256),
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        align_corners: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(layer_channels) != 2 or len(out_channels) != 3:
            raise ValueError(
                f'ICNet takes two layer_channels and three out_channels, not {layer_channels} and {out_channels}'
            )
        self.align_corners = align_corners
        self.backbone = MODELS.of('segmentation').build(backbone_cfg)
        self.backbone.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        (second, last), (fine, middle, coarse) = layer_channels, out_channels
        light = light_branch_middle_channels
        conv = partial(ConvModule, conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        pooled = partial(conv, act_cfg=act_cfg)
        self.psp_modules = PyramidPooling(
            pool_scales, last, psp_out_channels, partial(pooled, kernel_size=1), align_corners
        )
        self.psp_bottleneck = pooled(last + len(pool_scales) * psp_out_channels, psp_out_channels, 3, padding=1)
        halving = partial(conv, kernel_size=3, stride=2, padding=1)
        self.conv_sub1 = nn.Sequential(halving(in_channels, light), halving(light, light), halving(light, fine))
        self.conv_sub2 = conv(second, middle, 1)
        self.conv_sub4 = conv(psp_out_channels, coarse, 1)
        self.out_channels, self.strides = tuple(out_channels), (8, 16, 32)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to maps at an eighth, a sixteenth and a thirty-second of the resolution."""
        net = self.backbone
        x_nchw = net.maxpool(net.stem(self._half(x)))
        x_nchw = net.layer2(net.layer1(x_nchw))
        middle_nchw = self.conv_sub2(x_nchw)
        x_nchw = net.layer4(net.layer3(self._half(x_nchw)))
        # Here the map itself comes after what was pooled from it.
        joined_nchw = self.psp_modules(x_nchw).roll(-x_nchw.shape[1], dims=1)
        return self.conv_sub1(x), middle_nchw, self.conv_sub4(self.psp_bottleneck(joined_nchw))

    def _half(self, x_nchw: Tensor) -> Tensor:
        return resize(x_nchw, scale_factor=0.5, mode='bilinear', align_corners=self.align_corners)
