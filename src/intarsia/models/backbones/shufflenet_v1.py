"""ShuffleNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import normalize_indices
from intarsia.models.backbones.shufflenet import BN, RELU, ShuffleNet
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.channel_shuffle import channel_shuffle
from intarsia.nn.channels import make_divisible
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg


class GroupedShuffleUnit(nn.Module):
    """Bottleneck of grouped 1 x 1 convolutions, with a shuffle between them.

    With stride 1 it is added to its input, with stride 2 set beside the average of its input.

    Args:
        in_channels: Input channels.
        out_channels: Output channels, those of the input included where it is set beside.
        groups: Groups of the 1 x 1 convolutions.
        groups_first: Groups of the first of them; there are too few channels to group in the first unit of a network.
        stride: 1 or 2.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int,
        groups_first: int,
        stride: int = 1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.groups, self.with_cp = groups, with_cp
        mid, made = out_channels // 4, out_channels - (in_channels if stride == 2 else 0)
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        self.g_conv_1x1_compress = ConvModule(in_channels, mid, 1, groups=groups_first, act_cfg=act_cfg, **options)
        self.depthwise_conv3x3_bn = ConvModule(mid, mid, 3, stride, 1, groups=mid, act_cfg=None, **options)
        self.g_conv_1x1_expand = ConvModule(mid, made, 1, groups=groups, act_cfg=None, **options)
        self.avgpool = nn.AvgPool2d(kernel_size=3, stride=2, padding=1) if stride == 2 else None
        self.act = build_activation_layer(act_cfg)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.with_cp and x_nchw.requires_grad:
            return checkpoint(self._combined, x_nchw, use_reentrant=False)
        return self._combined(x_nchw)

    def _combined(self, x_nchw: Tensor) -> Tensor:
        out_nchw = self.depthwise_conv3x3_bn(self.g_conv_1x1_compress(x_nchw))
        out_nchw = self.g_conv_1x1_expand(channel_shuffle(out_nchw, self.groups))
        if self.avgpool is None:
            return self.act(x_nchw + out_nchw)
        return torch.cat((self.avgpool(x_nchw), self.act(out_nchw)), dim=1)


@BACKBONES.register_module()
class ShuffleNetV1(ShuffleNet):
    """Network of grouped 1 x 1 convolutions with shuffles between them.

    "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices" (Zhang et al., 2017,
    arXiv:1707.01083).

    State keys: ``conv1``, ``layers.0`` ... ``layers.2``.

    Args:
        groups: Groups of the 1 x 1 convolutions: 1, 2, 3, 4 or 8.
        widen_factor: Factor of all channel counts.
        out_indices: Stages to output, from 0.
        frozen_stages: Freeze ``conv1`` (0) and so many stages; -1 freezes nothing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``groups`` is unknown, or ``out_indices`` or ``frozen_stages`` lie outside of the stages.
    """

    arch_settings: ClassVar[dict[int, tuple[int, ...]]] = {
        1: (144, 288, 576),
        2: (200, 400, 800),
        3: (240, 480, 960),
        4: (272, 544, 1088),
        8: (384, 768, 1536),
    }
    stage_blocks: ClassVar[tuple[int, ...]] = (4, 8, 4)

    def __init__(
        self,
        groups: int = 3,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (2,),
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if groups not in self.arch_settings:
            raise ValueError(f'ShuffleNetV1: groups is one of {", ".join(map(str, self.arch_settings))}, not {groups}')
        if not -1 <= frozen_stages <= 2:
            raise ValueError(f'ShuffleNetV1: frozen_stages={frozen_stages} must lie in -1 ... 2')
        self.out_indices = normalize_indices(out_indices, 3, 'ShuffleNetV1')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}

        before = int(24 * widen_factor)
        widths = [make_divisible(width * widen_factor, 8) for width in self.arch_settings[groups]]
        self.conv1 = ConvModule(3, before, 3, stride=2, padding=1, **options)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layers = nn.ModuleList()
        for i, (width, num_blocks) in enumerate(zip(widths, self.stage_blocks, strict=True)):
            first = 1 if i == 0 else groups
            units = [GroupedShuffleUnit(before, width, groups, first, stride=2, with_cp=with_cp, **options)]
            units += [
                GroupedShuffleUnit(width, width, groups, groups, with_cp=with_cp, **options)
                for _ in range(num_blocks - 1)
            ]
            self.layers.append(nn.Sequential(*units))
            before = width
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(8 * 2**i for i in self.out_indices)
        self._freeze_stages()
