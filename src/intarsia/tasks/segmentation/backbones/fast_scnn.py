"""Fast-SCNN.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.models.backbones.mobilenet_v2 import LinearBottleneck
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.depthwise_separable import DepthwiseSeparableConvModule
from intarsia.nn.module import InitCfg
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.heads.psp_head import PyramidPooling

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}
POOL_SCALES = (1, 2, 3, 6)
EXPAND_RATIO = 6
NUM_BLOCKS = 3


class LearningToDownsample(nn.Module):
    """Three convolutions that each halve the resolution.

    Args:
        in_channels: Channels of the image.
        dw_channels: Channels after the first two.
        out_channels: Output channels.
        dw_act_cfg: Config of the activation after filters of single channels.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of the first.
    """

    def __init__(
        self,
        in_channels: int,
        dw_channels: Sequence[int],
        out_channels: int,
        dw_act_cfg: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        first, second = dw_channels
        self.conv = ConvModule(in_channels, first, 3, 2, 1, **kwargs)
        separable = partial(
            DepthwiseSeparableConvModule, kernel_size=3, stride=2, padding=1, norm_cfg=kwargs['norm_cfg'],
            dw_act_cfg=dw_act_cfg,
        )  # fmt: skip
        self.dsconv1 = separable(first, second)
        self.dsconv2 = separable(second, out_channels)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / 8, W / 8)``."""
        return self.dsconv2(self.dsconv1(self.conv(x_nchw)))


class GlobalFeatureExtractor(nn.Module):
    """Three stages of inverted residuals, then pooling at several scales.

    Args:
        in_channels: Input channels.
        block_channels: Channels of each stage.
        out_channels: Output channels.
        strides: Stride of each stage.
        align_corners: How bilinear resizing places the pixels.
        **kwargs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        block_channels: Sequence[int],
        out_channels: int,
        strides: Sequence[int],
        align_corners: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        options = {'expand_ratio': EXPAND_RATIO, 'norm_cfg': kwargs['norm_cfg'], 'act_cfg': kwargs['act_cfg']}
        widths = (in_channels, *block_channels)
        for i, stride in enumerate(strides):
            blocks = [LinearBottleneck(widths[i], widths[i + 1], stride, **options)]
            blocks += [LinearBottleneck(widths[i + 1], widths[i + 1], 1, **options) for _ in range(NUM_BLOCKS - 1)]
            self.add_module(f'bottleneck{i + 1}', nn.Sequential(*blocks))
        last = widths[-1]
        conv = partial(ConvModule, kernel_size=1, **kwargs)
        self.ppm = PyramidPooling(POOL_SCALES, last, last // len(POOL_SCALES), conv, align_corners)
        self.out = ConvModule(last * 2, out_channels, 3, padding=1, **kwargs)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / 4, W / 4)``."""
        for layer in self.children():
            x_nchw = layer(x_nchw)
        return x_nchw


class FeatureFusionModule(nn.Module):
    """Add a coarse map, enlarged and convolved, to a finer one.

    Args:
        higher_in_channels: Channels of the finer map.
        lower_in_channels: Channels of the coarse map.
        out_channels: Channels of the result.
        align_corners: How bilinear resizing places the pixels.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activation of the filter of the coarse map.
    """

    def __init__(
        self,
        higher_in_channels: int,
        lower_in_channels: int,
        out_channels: int,
        align_corners: bool,
        conv_cfg: Mapping[str, Any] | None,
        norm_cfg: Mapping[str, Any] | None,
        act_cfg: Mapping[str, Any] | None,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        conv = partial(ConvModule, conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self.dwconv = conv(lower_in_channels, out_channels, 3, padding=1, groups=out_channels, act_cfg=act_cfg)
        self.conv_lower_res = conv(out_channels, out_channels, 1, act_cfg=None)
        self.conv_higher_res = conv(higher_in_channels, out_channels, 1, act_cfg=None)

    def forward(self, higher_nchw: Tensor, lower_nchw: Tensor) -> Tensor:
        """Two maps to ``(N, out_channels, H, W)`` at the size of the finer one."""
        size = higher_nchw.shape[2:]
        lower_nchw = resize(lower_nchw, size=size, mode='bilinear', align_corners=self.align_corners)
        return F.relu(self.conv_higher_res(higher_nchw) + self.conv_lower_res(self.dwconv(lower_nchw)))


@BACKBONES.register_module()
class FastSCNN(Backbone):
    """A few layers shared by a branch that stays at an eighth of the resolution and a deep one for context.

    "Fast-SCNN: Fast Semantic Segmentation Network" (Poudel et al., 2019, arXiv:1902.04502).

    State keys: ``learning_to_downsample``, ``global_feature_extractor``, ``feature_fusion``.

    Args:
        in_channels: Channels of the image.
        downsample_dw_channels: Channels of the first two layers.
        global_in_channels: Channels of the shared map.
        global_block_channels: Channels of each stage of the deep branch.
        global_block_strides: Stride of each of them.
        global_out_channels: Channels of the deep branch.
        higher_in_channels: As ``global_in_channels``.
        lower_in_channels: As ``global_out_channels``.
        fusion_out_channels: Channels of the joined map.
        out_indices: What to output: 0 the shared map, 1 the deep branch, 2 the joined map.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        align_corners: How bilinear resizing places the pixels.
        dw_act_cfg: Config of the activation after filters of single channels in the shared layers.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Channels that must be equal are not.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        in_channels: int = 3,
        downsample_dw_channels: Sequence[int] = (32, 48),
        global_in_channels: int = 64,
        global_block_channels: Sequence[int] = (64, 96, 128),
        global_block_strides: Sequence[int] = (2, 2, 1),
        global_out_channels: int = 128,
        higher_in_channels: int = 64,
        lower_in_channels: int = 128,
        fusion_out_channels: int = 128,
        out_indices: int | Sequence[int] = (0, 1, 2),
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] | None = RELU,
        align_corners: bool = False,
        dw_act_cfg: Mapping[str, Any] | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if global_in_channels != higher_in_channels or global_out_channels != lower_in_channels:
            raise ValueError(
                f'FastSCNN: higher_in_channels={higher_in_channels} must be global_in_channels={global_in_channels}, '
                f'and lower_in_channels={lower_in_channels} global_out_channels={global_out_channels}'
            )
        self.out_indices = normalize_indices(out_indices, 3, 'FastSCNN')
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.learning_to_downsample = LearningToDownsample(
            in_channels, downsample_dw_channels, global_in_channels, dw_act_cfg, **cfgs
        )
        self.global_feature_extractor = GlobalFeatureExtractor(
            global_in_channels, global_block_channels, global_out_channels, global_block_strides, align_corners, **cfgs
        )
        self.feature_fusion = FeatureFusionModule(
            higher_in_channels, lower_in_channels, fusion_out_channels, align_corners, **cfgs
        )
        deep_stride = 8
        for stride in global_block_strides:
            deep_stride *= stride
        widths = (higher_in_channels, lower_in_channels, fusion_out_channels)
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple((8, deep_stride, 8)[i] for i in self.out_indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of ``out_indices``."""
        higher_nchw = self.learning_to_downsample(x)
        lower_nchw = self.global_feature_extractor(higher_nchw)
        outs = (higher_nchw, lower_nchw, self.feature_fusion(higher_nchw, lower_nchw))
        return tuple(outs[i] for i in self.out_indices)
