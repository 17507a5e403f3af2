"""STDC.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES, MODELS
from intarsia.models.backbones.backbone import Backbone, init_from
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg, ModuleList, Sequential
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.backbones.bisenetv1 import AttentionRefinementModule

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}
FFM_CFG: Mapping[str, Any] = {'in_channels': 512, 'out_channels': 256, 'scale_factor': 4}
Fusion = Literal['add', 'cat']


class STDCModule(BaseModule):
    """Convolutions in a row, each of half the channels of the one before; the outputs of all are joined.

    State keys: ``layers``, and with a stride of 2 ``downsample`` (``'add'`` has it in ``layers.0`` once more) and
    ``skip``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        stride: 1 or 2.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations but the first, which is ReLU.
        num_convs: How many convolutions, at least two.
        fusion_type: ``'add'`` to add the input to what was joined, ``'cat'`` not to.

    Raises:
        ValueError: There are too few convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
        num_convs: int = 4,
        fusion_type: Fusion = 'add',
    ) -> None:
        super().__init__()
        if num_convs < 2:
            raise ValueError(f'STDCModule: num_convs={num_convs} must be at least 2')
        self.with_downsample, self.adds = stride == 2, fusion_type == 'add'
        half = out_channels // 2
        first: nn.Module = ConvModule(in_channels, half, 1, norm_cfg=norm_cfg)
        if self.with_downsample:
            self.downsample = ConvModule(half, half, 3, 2, 1, groups=half, norm_cfg=norm_cfg, act_cfg=None)
            if self.adds:
                first = nn.Sequential(first, self.downsample)
                self.skip: nn.Module = Sequential(
                    ConvModule(in_channels, in_channels, 3, 2, 1, groups=in_channels, norm_cfg=norm_cfg, act_cfg=None),
                    ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None),
                )
            else:
                self.skip = nn.AvgPool2d(3, stride=2, padding=1)
        self.layers = ModuleList([first])
        for i in range(1, num_convs):
            width = out_channels // 2 ** min(i + 1, num_convs - 1)
            self.layers.append(
                ConvModule(out_channels // 2**i, width, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
            )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        first, *others = self.layers
        outs = [first(x_nchw)]
        if self.with_downsample and not self.adds:
            outs, down_nchw = [self.skip(outs[0])], self.downsample(outs[0])
        else:
            down_nchw = outs[0]
        for layer in others:
            down_nchw = layer(down_nchw)
            outs.append(down_nchw)
        joined_nchw = torch.cat(outs, dim=1)
        if not self.adds:
            return joined_nchw
        return joined_nchw + (self.skip(x_nchw) if self.with_downsample else x_nchw)


class FeatureFusionModule(BaseModule):
    """Join two maps; channels that matter for the whole image are added once more.

    Args:
        in_channels: Channels of both maps together.
        out_channels: Output channels.
        scale_factor: Output channels divided by those from which the weights of channels are made.
        norm_cfg: Config of the normalization.
        act_cfg: Config of the activations.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale_factor: int = 4,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
    ) -> None:
        super().__init__()
        width = out_channels // scale_factor
        self.conv0 = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d((1, 1)),
            ConvModule(out_channels, width, 1, bias=False, act_cfg=act_cfg),
            ConvModule(width, out_channels, 1, bias=False, act_cfg=None),
            nn.Sigmoid(),
        )

    def forward(self, spatial_nchw: Tensor, context_nchw: Tensor) -> Tensor:
        """Two maps of one size to ``(N, out_channels, H, W)``."""
        fused_nchw = self.conv0(torch.cat((spatial_nchw, context_nchw), dim=1))
        return fused_nchw * self.attention(fused_nchw) + fused_nchw


@BACKBONES.register_module()
class STDCNet(Backbone):
    """Network whose blocks join maps that saw more and more.

    "Rethinking BiSeNet For Real-time Semantic Segmentation" (Fan et al., 2021, arXiv:2104.13188).

    State keys: ``stages``, ``final_conv``.

    Args:
        stdc_type: ``'STDCNet1'`` or ``'STDCNet2'``, which has more blocks.
        in_channels: Channels of the image.
        channels: Channels of the two convolutions at the beginning and of the three stages.
        bottleneck_type: What a block does with its input; see :class:`STDCModule`.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        num_convs: Convolutions of each block.
        with_final_conv: Whether a convolution widens the last map.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The type of network is unknown, or there are not five numbers of channels.
    """

    arch_settings: ClassVar[Mapping[str, Sequence[int]]] = {'STDCNet1': (2, 2, 2), 'STDCNet2': (4, 5, 3)}
    """Blocks of each stage; the first of them halves the resolution."""

    def __init__(
        self,
        stdc_type: str,
        in_channels: int,
        channels: Sequence[int],
        bottleneck_type: Fusion,
        norm_cfg: Mapping[str, Any] | None,
        act_cfg: Mapping[str, Any] | None,
        num_convs: int = 4,
        with_final_conv: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        if stdc_type not in self.arch_settings or bottleneck_type not in ('add', 'cat') or len(channels) != 5:
            raise ValueError(
                f"STDCNet: stdc_type is 'STDCNet1' or 'STDCNet2', bottleneck_type 'add' or 'cat', and there are five "
                f'channels; not {stdc_type!r}, {bottleneck_type!r} and {channels}'
            )
        cfgs: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        widths = (in_channels, *channels)
        self.stages = ModuleList(ConvModule(widths[i], widths[i + 1], 3, 2, 1, **cfgs) for i in range(2))
        self.num_shallow_features = len(self.stages)
        options: dict[str, Any] = {**cfgs, 'num_convs': num_convs, 'fusion_type': bottleneck_type}
        for i, num_blocks in enumerate(self.arch_settings[stdc_type], 2):
            others = [STDCModule(widths[i + 1], widths[i + 1], 1, **options) for _ in range(num_blocks - 1)]
            self.stages.append(Sequential(STDCModule(widths[i], widths[i + 1], 2, **options), *others))
        last = max(1024, channels[-1]) if with_final_conv else channels[-1]
        self.final_conv = ConvModule(channels[-1], last, 1, **cfgs) if with_final_conv else None
        self.out_channels, self.strides = (*channels[2:4], last), (8, 16, 32)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the three stages."""
        x_nchw, outs = x, []
        for stage in self.stages:
            x_nchw = stage(x_nchw)
            outs.append(x_nchw)
        if self.final_conv is not None:
            outs[-1] = self.final_conv(outs[-1])
        return tuple(outs[self.num_shallow_features :])


@BACKBONES.register_module()
class STDCContextPathNet(Backbone):
    """An :class:`STDCNet` whose coarse maps are refined and enlarged, and joined with its finest.

    "Rethinking BiSeNet For Real-time Semantic Segmentation" (Fan et al., 2021, arXiv:2104.13188).

    State keys: ``backbone``, ``arms``, ``convs``, ``conv_avg``, ``ffm``.

    Args:
        backbone_cfg: Config of the network, with outputs at an eighth, a sixteenth and a thirty-second.
        last_in_channels: Channels of its last output and of the one before.
        out_channels: Channels of the refined maps.
        ffm_cfg: Arguments of the :class:`FeatureFusionModule`.
        upsample_mode: How maps are enlarged.
        align_corners: How bilinear resizing places the pixels.
        norm_cfg: Config of the normalizations of the enlarged maps.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        backbone_cfg: Mapping[str, Any],
        last_in_channels: Sequence[int] = (1024, 512),
        out_channels: int = 128,
        ffm_cfg: Mapping[str, Any] = FFM_CFG,
        upsample_mode: str = 'nearest',
        align_corners: bool | None = None,
        norm_cfg: Mapping[str, Any] | None = BN,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.of('segmentation').build(backbone_cfg)
        self.arms = ModuleList(
            AttentionRefinementModule(channels, out_channels, norm_cfg=BN) for channels in last_in_channels
        )
        self.convs = ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg) for _ in last_in_channels
        )
        self.conv_avg = ConvModule(last_in_channels[0], out_channels, 1, norm_cfg=norm_cfg)
        self.ffm = FeatureFusionModule(**ffm_cfg)
        self.upsample_mode, self.align_corners = upsample_mode, align_corners
        finest, joined = self.backbone.out_channels[0], ffm_cfg['out_channels']
        refined = (out_channels,) * len(last_in_channels)
        self.out_channels = (finest, *refined, joined)
        self.strides = (8, *(16 // 2**i for i in range(len(refined))), 8)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, C, H, W)`` to the finest map, the refined ones from coarse to fine, and the joined one."""
        outs = self.backbone(x)
        up_nchw = self._enlarge(self.conv_avg(F.adaptive_avg_pool2d(outs[-1], 1)), outs[-1])
        refined = []
        for i, (arm, conv) in enumerate(zip(self.arms, self.convs, strict=True)):
            up_nchw = conv(self._enlarge(arm(outs[-1 - i]) + up_nchw, outs[-2 - i]))
            refined.append(up_nchw)
        return (outs[0], *refined, self.ffm(outs[0], refined[1]))

    def _enlarge(self, x_nchw: Tensor, like_nchw: Tensor) -> Tensor:
        size = like_nchw.shape[2:]
        return resize(x_nchw, size=size, mode=self.upsample_mode, align_corners=self.align_corners)
